"""How good a segmentation is, from one confusion matrix over all pixels of all pictures.

IoU of a class is the share of pixels that are right among those that are of it or said to be
(PASCAL VOC, Everingham et al., 2015, section 4.2). Void pixels count nowhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix

from training.data.masked import VOID

_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """What masks are worth. Every figure without pixels to take it on is NaN.

    Attributes:
        classes: their names; ``C`` of them.
        pictures: how many were measured on.
        confusion: ``int64[C, C]``, pixels by true class (rows) and the one told (columns).
        iou: ``float64[C]``; NaN for a class that is neither there nor told.
        miou: mean of ``iou``.
        miou_interval: 95 % interval of ``miou`` for another draw of as many pictures.
        pixel_accuracy: share of pixels whose class is right.
        class_accuracy: mean over classes of the share of their pixels that is found.
    """

    classes: tuple[str, ...]
    pictures: int
    confusion: NDArray[np.int64]
    iou: NDArray[np.float64]
    miou: float
    miou_interval: tuple[float, float]
    pixel_accuracy: float
    class_accuracy: float


def confusion(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Count the pixels of one picture.

    Args:
        truth: ``uint8[H, W]``, 255 for void.
        prediction: ``uint8[H, W]``, 0 to before ``classes``.
        classes: how many there are.

    Returns:
        ``int64[classes, classes]``: by true class (rows) and the one told (columns).
    """
    counted = multiclass_confusion_matrix(
        torch.from_numpy(prediction.astype(np.int64)),
        torch.from_numpy(truth.astype(np.int64)),
        classes,
        ignore_index=VOID,
        validate_args=False,
    )
    return counted.numpy().astype(np.int64)


def iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of each class, of ``int64[..., C, C]``: ``float64[..., C]``, NaN for a class not seen."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(-1) + confusion.sum(-2) - right
    found: NDArray[np.float64] = np.full(right.shape, math.nan)
    np.divide(right, union, out=found, where=union > 0)
    return found


def measure(
    confusions: Sequence[NDArray[np.int64]],
    classes: tuple[str, ...],
    resamples: int = 1000,
    seed: int = 0,
) -> Quality:
    """Measure masks against the true ones.

    The interval is that of the percentile bootstrap over pictures (B. Efron, Bootstrap Methods:
    Another Look at the Jackknife, 1979).

    Args:
        confusions: ``int64[C, C]`` of each picture.
        classes: their names.
        resamples: draws for the interval; with none it is NaN.
        seed: of the draws.

    Raises:
        ValueError: there are no pictures.
    """
    if not len(confusions):
        raise ValueError("there are no pictures to measure on")
    each = np.stack(confusions)
    total = each.sum(0)
    ious = iou(total)
    pixels, right = total.sum(1), np.diagonal(total)
    known = pixels > 0
    found = right[known] / pixels[known]
    return Quality(
        classes=classes,
        pictures=len(each),
        confusion=total,
        iou=ious,
        miou=_mean(ious),
        miou_interval=_interval(each, resamples, seed),
        pixel_accuracy=float(right.sum() / pixels.sum()) if pixels.any() else math.nan,
        class_accuracy=_mean(found),
    )


def _interval(each: NDArray[np.int64], resamples: int, seed: int) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    flat = each.reshape(len(each), -1).astype(np.float64)
    drawn = []
    for _ in range(resamples):
        times = np.bincount(random.integers(len(each), size=len(each)), minlength=len(each))
        drawn.append(_mean(iou((times @ flat).reshape(each.shape[1:]).astype(np.int64))))
    values = np.array(drawn)
    values = values[~np.isnan(values)]
    if not values.size:
        return math.nan, math.nan
    low, high = np.quantile(values, _INTERVAL)
    return float(low), float(high)


def _mean(values: NDArray[np.float64]) -> float:
    """Over all that are known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
