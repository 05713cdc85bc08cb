"""A detector's outputs for one picture: read, and compared with others."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.boxes import iou
from service.errors import InferenceError
from service.session import Arrays

#: The least score a detector's graph lets through, as far as a comparison is concerned.
SCORE_THRESHOLD: Final = 0.05
#: How far above 1 rounding may take a score; the step of float16 there.
_HAIR = 2.0**-10
#: The IoU from which on two boxes are of one object without question.
_SAME = 0.5
#: Pixels of a corner that weigh as much as a whole score when two outputs are compared.
_CORNER_PIXELS = 500.0


@dataclass(frozen=True, slots=True)
class Detections:
    """What is in the slots that are detections.

    Attributes:
        boxes: ``float64[K,4]`` of x_min, y_min, x_max, y_max in pixels of the graph's input.
        scores: ``float64[K]``, 0..1.
        labels: ``int64[K]``, positions in the model's labels.
        slots: how many detections there could have been.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    slots: int

    @property
    def end(self) -> float:
        """The score below which the detector told nothing."""
        if len(self.scores) < self.slots:
            return SCORE_THRESHOLD
        return max(SCORE_THRESHOLD, float(self.scores.min(initial=1)))


def read(outputs: Arrays, classes: int | None = None) -> Detections:
    """The slots that are detections, with scores that rounding took above 1 back at 1.

    Args:
        outputs: ``boxes: float[D,4]``, ``scores: float[D]``, ``labels: int[D]`` and ``count``, how
            many of the D slots are detections; the first ones.
        classes: how many labels there are, if known.

    Raises:
        InferenceError: a value is not finite or out of its range.
    """
    slots, count = len(outputs["scores"]), int(outputs["count"])
    if not 0 <= count <= slots:
        raise InferenceError(f"the model counts {count} detections in {slots} slots")
    boxes = outputs["boxes"][:count].astype(np.float64)
    scores = outputs["scores"][:count].astype(np.float64)
    labels = outputs["labels"][:count].astype(np.int64)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise InferenceError("the model's output for this picture is not finite")
    if (scores < 0).any() or (scores > 1 + _HAIR).any():
        raise InferenceError("the model's output for this picture has a score outside 0 to 1")
    if (labels < 0).any() or (classes is not None and (labels >= classes).any()):
        raise InferenceError("the model's output for this picture has a label it does not have")
    return Detections(boxes, scores.clip(max=1), labels, slots)


def deviation(actual: Arrays, expected: Arrays) -> float:
    """How far two detectors' outputs for one picture stand apart.

    Detections are matched one to one within a label, from the highest expected score on, each with
    the one it overlaps most: nearly equal scores may trade places. A pair deviates by the
    difference of its scores or, if larger, by that of a corner in units of 500 pixels. A detection
    without a partner deviates by its score less that at which the other side ends, as if its
    partner stood just below: ``SCORE_THRESHOLD``, or the lowest score there if all slots are taken.
    A pair that lies further apart than that counts as two without partners if its boxes overlap by
    an IoU of less than 0.5; from there on both are of one object, however low its score.

    Returns:
        The largest deviation of a detection; infinite for outputs that are no detections, or of
        other slots.
    """
    try:
        seen, wanted = read(actual), read(expected)
    except InferenceError:
        return float("inf")
    if seen.slots != wanted.slots:
        return float("inf")
    overlaps = iou(wanted.boxes, seen.boxes)
    overlaps[wanted.labels[:, None] != seen.labels[None]] = 0
    alone_wanted = np.clip(wanted.scores - seen.end, 0, None)
    alone_seen = np.clip(seen.scores - wanted.end, 0, None)
    worst, free = 0.0, np.ones(len(seen.boxes), bool)
    for index in np.argsort(-wanted.scores, kind="stable"):
        candidates = np.where(free, overlaps[index], 0)
        if not candidates.any():
            worst = max(worst, float(alone_wanted[index]))
            continue
        partner = int(candidates.argmax())
        free[partner] = False
        corner = float(np.abs(wanted.boxes[index] - seen.boxes[partner]).max())
        score = float(np.abs(wanted.scores[index] - seen.scores[partner]))
        apart = max(score, corner / _CORNER_PIXELS)
        if overlaps[index, partner] < _SAME:
            apart = min(apart, float(max(alone_wanted[index], alone_seen[partner])))
        worst = max(worst, apart)
    return max(worst, float(alone_seen[free].max(initial=0)))
