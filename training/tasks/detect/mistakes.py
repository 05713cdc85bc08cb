"""What a detector got wrong in each picture, to look at the worst."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from training.data.boxed import Boxed, BoxedSet
from training.tasks.detect.metrics import IOU_THRESHOLDS, Detections, Evaluation

_NEAR = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Mistakes:
    """What went wrong in one picture.

    Attributes:
        missed: ``int64[M]``, the objects without a detection, by their position in the truth.
        false_alarms: ``int64[F]``, detections without an object, by position in ``Detections``.
        right: ``int64[R]``, the other detections, those within ignored objects among them.
        badness: the number of the missed plus the scores of the false alarms.
    """

    missed: NDArray[np.int64]
    false_alarms: NDArray[np.int64]
    right: NDArray[np.int64]
    badness: float


def find_mistakes(
    predictions: Sequence[Detections], truths: BoxedSet, threshold: float = 0.5
) -> list[Mistakes]:
    """The missed objects and the false alarms of every picture, at IoU 0.5.

    Args:
        predictions: one a picture, in the order of ``truths``.
        truths: the pictures' objects; an ignored one is never missed.
        threshold: the score below which a detection counts for nothing.

    Raises:
        ValueError: there are no pictures, or not one prediction for each.
    """
    kept = [np.flatnonzero(found.scores >= threshold) for found in predictions]
    shown = [
        Detections(found.boxes[at], found.scores[at], found.labels[at])
        for found, at in zip(predictions, kept, strict=True)
    ]
    pairs = Evaluation(shown, truths, IOU_THRESHOLDS[:1]).pairs()
    mistakes = []
    objects = detections = 0
    for item, found, at in zip(truths.items, shown, kept, strict=True):
        is_right = np.isin(np.arange(detections, detections + len(at)), pairs[:, 0])
        is_found = np.isin(np.arange(objects, objects + len(item.labels)), pairs[:, 1])
        missed = np.flatnonzero(~is_found & ~item.ignored)
        badness = len(missed) + float(found.scores[~is_right].sum())
        mistakes.append(Mistakes(missed, at[~is_right], at[is_right], badness))
        objects += len(item.labels)
        detections += len(at)
    return mistakes


def describe(
    mistakes: Mistakes, found: Detections, item: Boxed, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Say in words what went wrong in a picture, a phrase for each kind of mistake.

    A false alarm is told by the object it overlaps most: a ``cat for dog``, a second detection
    of the same (``dog twice``), one that lies beside it (``dog misplaced``), or else ``false dog``.
    """
    missed = Counter(classes[label] for label in item.labels[mistakes.missed])
    words = Counter(
        _kind(found.boxes[at], found.labels[at], item, classes) for at in mistakes.false_alarms
    )
    return tuple(
        [_times(f"missed {name}", count) for name, count in missed.items()]
        + [_times(phrase, count) for phrase, count in words.items()]
    )


def _kind(
    box: NDArray[np.floating], label: np.integer, item: Boxed, classes: tuple[str, ...]
) -> str:
    name = classes[label]
    if not len(item.labels):
        return f"false {name}"
    overlaps = _overlaps(box, item.boxes)
    own = np.where(item.labels == label, overlaps, 0)
    nearest = int(overlaps.argmax())
    if own.max() >= IOU_THRESHOLDS[0]:
        return f"{name} twice"
    if overlaps[nearest] >= IOU_THRESHOLDS[0]:
        return f"{name} for {classes[item.labels[nearest]]}"
    if own.max() >= _NEAR:
        return f"{name} misplaced"
    return f"false {name}"


def _overlaps(box: NDArray[np.floating], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box with each of ``boxes[K, 4]``: ``float32[K]``."""
    one = torch.from_numpy(box.astype(np.float32)[np.newaxis])
    overlaps: NDArray[np.float32] = box_iou(one, torch.from_numpy(boxes))[0].numpy()
    return overlaps


def _times(phrase: str, count: int) -> str:
    return phrase if count == 1 else f"{phrase} ({count}x)"
