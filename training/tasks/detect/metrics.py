"""How good a detector is: mean average precision as COCO takes it.

The evaluation is that of https://cocodataset.org/#detection-eval, done by faster-coco-eval: at
most 100 detections of a class in a picture, each matched to the object it overlaps most, from
the highest score down. Objects marked ``ignored`` are neither hits nor misses, as COCO's crowds:
what lies within them counts for nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]
from numpy.typing import NDArray

from training.data.boxed import BoxedSet

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""How much a detection must overlap its object, from lenient to strict."""

_AT_50, _AT_75 = 0, 5
_DETECTIONS = 100
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was found in one picture.

    Attributes:
        boxes: ``float[K, 4]``, x_min, y_min, x_max, y_max in pixels of the upright original.
        scores: ``float[K]``, 0 to 1, in any order.
        labels: ``int[K]``, positions in the classes.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    labels: NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """What a detector's detections are worth. Every figure without objects to take it on is NaN.

    Attributes:
        classes: their names; ``C`` of them.
        pictures: how many were measured on.
        objects: ``int64[C]``, how many of each class, ignored ones left out.
        map: mean average precision over classes and ``IOU_THRESHOLDS``.
        map50: the same where half the union of detection and object must be shared.
        map75: the same for three quarters.
        map_interval: 95 % interval of ``map`` for another draw of as many pictures.
        map50_interval: the same of ``map50``.
        average_precision: ``float64[C]``, over ``IOU_THRESHOLDS``.
        average_precision50: ``float64[C]``.
        recalls: ``float64[R]``, the shares of objects found that precision was taken at.
        precisions: ``float64[C, R]``, the share of detections that were right, at IoU 0.5; the
            best at this recall or a higher one, 0 beyond the highest reached.
        thresholds: ``float64[C, R]``, the score down to which this takes detections.
    """

    classes: tuple[str, ...]
    pictures: int
    objects: NDArray[np.int64]
    map: float
    map50: float
    map75: float
    map_interval: tuple[float, float]
    map50_interval: tuple[float, float]
    average_precision: NDArray[np.float64]
    average_precision50: NDArray[np.float64]
    recalls: NDArray[np.float64]
    precisions: NDArray[np.float64]
    thresholds: NDArray[np.float64]


class Evaluation:
    """Detections matched to objects once, from which precision is taken for any draw of pictures.

    Matching looks at one picture at a time, so it stays as it is where pictures are drawn again.
    """

    def __init__(
        self,
        predictions: Sequence[Detections],
        truths: BoxedSet,
        iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    ) -> None:
        """Match ``predictions``, one a picture of ``truths`` and in its order.

        Raises:
            ValueError: there are no pictures, or not one prediction for each.
        """
        if not truths.items or len(predictions) != len(truths.items):
            raise ValueError(f"{len(predictions)} predictions for {len(truths.items)} pictures")
        self._pictures = len(truths.items)
        self._classes = len(truths.classes)
        objects = [
            _annotation(picture, box, label, iscrowd=int(ignored))
            for picture, item in enumerate(truths.items)
            for box, label, ignored in zip(item.boxes, item.labels, item.ignored, strict=True)
        ]
        found = [
            _annotation(picture, box, label, score=float(score))
            for picture, detected in enumerate(predictions)
            for box, label, score in zip(
                detected.boxes, detected.labels, detected.scores, strict=True
            )
        ]
        self._coco = COCOeval_faster(
            _coco(objects, self._pictures, self._classes),
            _coco(found, self._pictures, self._classes),
            "bbox",
            separate_eval=True,
        )
        self._coco.params.iouThrs = np.array(iou_thresholds)
        self._coco.params.maxDets = [_DETECTIONS]
        # The ranges of size that COCO also reports would take three times as long again.
        self._coco.params.areaRng = self._coco.params.areaRng[:1]
        self._coco.params.areaRngLbl = self._coco.params.areaRngLbl[:1]
        self._coco.evaluate()
        self._matched = self._coco._evalImgs_cpp
        self._coco.accumulate()
        self.recalls: NDArray[np.float64] = self._coco.params.recThrs
        self.precision = self._accumulated("precision")
        self.thresholds = self._accumulated("scores")

    def drawn(self, pictures: NDArray[np.int64]) -> NDArray[np.float64]:
        """Precision had the pictures been these.

        Args:
            pictures: ``int64[N]``, as many as there are, some of them more than once.

        Returns:
            ``float64[T, R, C]``: at every IoU threshold, recall and class; NaN for a class that
            has no object in these pictures.
        """
        self._coco._evalImgs_cpp = [
            self._matched[first + picture]
            for first in range(0, len(self._matched), self._pictures)
            for picture in pictures.tolist()
        ]
        self._coco.accumulate()
        return self._accumulated("precision")

    def pairs(self) -> NDArray[np.int64]:
        """``int64[P, 2]``: a detection and its object, each counted through all pictures.

        Every detection has at most one object if there is one IoU threshold; an ignored object
        may have any number of detections.
        """
        pairs = [pair.split("_") for pair in self._coco.eval["matched"]]
        return np.array(pairs, np.int64).reshape(-1, 2) - 1

    def _accumulated(self, name: str) -> NDArray[np.float64]:
        values = self._coco.eval[name][..., 0, -1].astype(np.float64)
        return np.where(values < 0, np.nan, values)


def measure(
    predictions: Sequence[Detections], truths: BoxedSet, resamples: int = 1000, seed: int = 0
) -> Quality:
    """Measure detections against the objects that are there.

    The intervals are those of the percentile bootstrap over pictures (B. Efron, Bootstrap
    Methods: Another Look at the Jackknife, 1979): the figures are taken again on ``resamples``
    draws of as many pictures with replacement. 1000 draws of 150 pictures take some seconds.

    Args:
        predictions: one a picture, in the order of ``truths``.
        truths: the pictures' objects.
        resamples: draws for the intervals; with none these are NaN.
        seed: of the draws.

    Raises:
        ValueError: there are no pictures, or not one prediction for each.
    """
    evaluation = Evaluation(predictions, truths)
    random = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        precision = evaluation.drawn(random.integers(len(predictions), size=len(predictions)))
        draws.append((_mean(precision), _mean(precision[_AT_50])))
    drawn = np.array(draws).reshape(-1, 2)
    precision = evaluation.precision
    return Quality(
        classes=truths.classes,
        pictures=len(predictions),
        objects=truths.counts,
        map=_mean(precision),
        map50=_mean(precision[_AT_50]),
        map75=_mean(precision[_AT_75]),
        map_interval=_interval(drawn[:, 0]),
        map50_interval=_interval(drawn[:, 1]),
        average_precision=precision.mean(axis=(0, 1)),
        average_precision50=precision[_AT_50].mean(axis=0),
        recalls=evaluation.recalls,
        precisions=precision[_AT_50].T,
        thresholds=evaluation.thresholds[_AT_50].T,
    )


def map50(predictions: Sequence[Detections], truths: BoxedSet) -> float:
    """Mean average precision at IoU 0.5 alone, quick enough for every epoch.

    Raises:
        ValueError: there are no pictures, or not one prediction for each.
    """
    return _mean(Evaluation(predictions, truths, IOU_THRESHOLDS[:1]).precision)


def _annotation(
    picture: int, box: NDArray[np.floating], label: np.integer, **others: float
) -> dict[str, object]:
    """A box in the words of COCO's files."""
    x_min, y_min, x_max, y_max = box.astype(np.float64).tolist()
    width, height = x_max - x_min, y_max - y_min
    return {
        "image_id": picture,
        "category_id": int(label),
        "bbox": [x_min, y_min, width, height],
        "area": width * height,
        **others,
    }


def _coco(annotations: list[dict[str, object]], pictures: int, classes: int) -> COCO:
    return COCO(
        {
            "images": [{"id": picture} for picture in range(pictures)],
            "categories": [{"id": label, "name": str(label)} for label in range(classes)],
            # An id of 0 would read as no match at all.
            "annotations": [{"id": at, **made} for at, made in enumerate(annotations, start=1)],
        }
    )


def _mean(precision: NDArray[np.float64]) -> float:
    """Over all but the classes without objects."""
    known = precision[~np.isnan(precision)]
    return float(known.mean()) if known.size else math.nan


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, _INTERVAL)
    return float(low), float(high)
