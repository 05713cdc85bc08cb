"""A segmenter's mask brought back to the picture it was made of."""

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.resize import Placement

# Rows of the original that are made at a time.
_BAND = 256


def crop(plane: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """The part of a plane at the size of a graph's input in which the original lies.

    Args:
        plane: ``uint8[h,w]``.
        placement: where the original lies in that input.

    Returns:
        A view without the padding.

    Raises:
        ValueError: the plane has other dimensions, or ends before the original does.
    """
    left, top = (max(0, int(offset)) for offset in placement.offset)
    right = left + round(placement.width * placement.scale[0])
    bottom = top + round(placement.height * placement.scale[1])
    if plane.ndim != 2 or plane.shape[0] < bottom or plane.shape[1] < right:
        raise ValueError(f"a plane of shape {plane.shape} has no {right}x{bottom} pixels")
    return plane[top:bottom, left:right]


def to_original(mask: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """Crop the padding and bring a mask to the size of the upright original.

    The plane of each class, 255 where it is and 0 elsewhere, is resized bilinearly (averaging
    where the original is the smaller), and a pixel gets the class of the highest share, of equal
    ones the first. So edges are smooth and no class appears between two others. A mask of the
    original's size stays as it is.

    The work goes from band to band of rows, so that no more than the result is held at the
    original's size, whatever the number of classes.

    Args:
        mask: ``uint8[h,w]`` at the size of the graph's input, values from 0 to 255.
        placement: where the original lies in that input.

    Returns:
        ``uint8[H,W]``, values of ``mask``.

    Raises:
        ValueError: the mask has other dimensions, or ends before the original does.
    """
    small = crop(mask, placement)
    if small.shape == (placement.height, placement.width):
        return np.ascontiguousarray(small)
    result = np.empty((placement.height, placement.width), np.uint8)
    for top in range(0, placement.height, _BAND):
        _enlarge(small, placement.height, top, result[top : top + _BAND])
    return result


def _enlarge(small: NDArray[np.uint8], height: int, top: int, band: NDArray[np.uint8]) -> None:
    """Fill the rows ``uint8[b,W]`` from ``top`` on of a mask that will be ``height`` rows high."""
    rows, width = band.shape
    scale, across = small.shape[0] / height, small.shape[1] / width
    reach, reach_across = max(1.0, scale), max(1.0, across)  # of the filter, to either side
    first = max(0, floor(top * scale - reach))
    seen = small[first : ceil((top + rows) * scale + reach)]
    classes = np.flatnonzero(np.bincount(seen.ravel(), minlength=256)).tolist()
    band.fill(classes[0])
    if len(classes) == 1:
        return
    highest = np.zeros_like(band)
    for label in classes:
        found = seen == label
        columns = np.flatnonzero(found.any(0))
        left = max(0, floor((columns[0] - reach_across) / across))
        right = min(width, ceil((columns[-1] + 1 + reach_across) / across))
        plane = Image.fromarray(found.astype(np.uint8) * np.uint8(255))
        box = (left * across, top * scale - first, right * across, (top + rows) * scale - first)
        box = (*box[:2], min(box[2], plane.width), min(box[3], plane.height))
        share = np.asarray(plane.resize((right - left, rows), Image.Resampling.BILINEAR, box))
        so_far = highest[:, left:right]
        higher = share > so_far
        np.copyto(so_far, share, where=higher)
        np.copyto(band[:, left:right], np.uint8(label), where=higher)


def areas(mask: NDArray[np.uint8]) -> list[int]:
    """How many pixels of a mask ``uint8[H,W]`` have each value from 0 to 255."""
    counts = np.zeros(256, np.int64)
    for top in range(0, mask.shape[0], _BAND):  # counting takes eight bytes a pixel
        counts += np.bincount(mask[top : top + _BAND].ravel(), minlength=256)
    return counts.tolist()
