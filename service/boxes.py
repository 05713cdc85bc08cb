"""Boxes ``float[K,4]`` of x_min, y_min, x_max, y_max: how they overlap, and which to keep."""

import numpy as np
from numpy.typing import NDArray


def iou(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of every box with every other.

    Args:
        boxes: ``float[K,4]``.
        others: ``float[L,4]``, in the same pixels.

    Returns:
        ``float64[K,L]``, 0..1; 0 for two boxes without an area.
    """
    first, second = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    either = _area(first) + _area(second) - shared
    overlap: NDArray[np.float64] = np.divide(
        shared, either, out=np.zeros_like(shared), where=either > 0
    )
    return overlap


def suppress(
    boxes: NDArray[np.floating], labels: NDArray[np.integer], threshold: float
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each label.

    Args:
        boxes: ``float[K,4]``, best first.
        labels: ``int[K]``; boxes of different labels never suppress one another.
        threshold: a box goes if it overlaps a better one that stays by more than this IoU.

    Returns:
        ``intp[M]``: positions of the boxes that stay, in order.
    """
    rivals = (iou(boxes, boxes) > threshold) & (labels[:, None] == labels[None])
    stays = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if stays[index]:
            stays[index + 1 :] &= ~rivals[index, index + 1 :]
    return np.flatnonzero(stays)


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1)
    return area
