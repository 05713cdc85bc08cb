"""A segmenter's mask brought back to the picture it was made of."""

from itertools import product
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.resize import Placement

# Rows and columns of the original that are made at a time.
_TILE = 256


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

    The work goes from tile to tile, so that no more than the result is held at the original's
    size, and a class costs time only where it is.

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
    size = placement.height, placement.width
    result = np.empty(size, np.uint8)
    for top, left in product(range(0, size[0], _TILE), range(0, size[1], _TILE)):
        tile = result[top : top + _TILE, left : left + _TILE]
        _enlarge(small, size, (top, left), tile)
    return result


def _enlarge(
    small: NDArray[np.uint8],
    size: tuple[int, int],
    corner: tuple[int, int],
    tile: NDArray[np.uint8],
) -> None:
    """Fill a tile ``uint8[h,w]`` of a mask to be.

    Args:
        small: the mask without its padding.
        size: height and width it will have.
        corner: row and column of the tile's upper left pixel in it.
        tile: is filled.
    """
    parts, edges = [], []
    for length, whole, first, count in zip(small.shape, size, corner, tile.shape, strict=True):
        scale = length / whole
        reach = max(1.0, scale)  # of the filter, to either side
        begin, end = first * scale, min((first + count) * scale, length)
        start = max(0, floor(begin - reach))
        parts.append(slice(start, ceil(end + reach)))
        edges.append((begin - start, end - start))
    (top, bottom), (left, right) = edges
    seen = small[parts[0], parts[1]]
    classes = np.flatnonzero(np.bincount(seen.ravel(), minlength=256)).tolist()
    tile.fill(classes[0])
    if len(classes) == 1:
        return
    highest = np.zeros_like(tile)
    for label in classes:
        plane = Image.fromarray((seen == label).astype(np.uint8) * np.uint8(255))
        box = (left, top, right, bottom)
        share = np.asarray(plane.resize(tile.shape[::-1], Image.Resampling.BILINEAR, box))
        higher = share > highest
        np.copyto(highest, share, where=higher)
        np.copyto(tile, np.uint8(label), where=higher)


def areas(mask: NDArray[np.uint8]) -> list[int]:
    """How many pixels of a mask ``uint8[H,W]`` have each value from 0 to 255."""
    counts = np.zeros(256, np.int64)
    for top in range(0, mask.shape[0], _TILE):  # counting takes eight bytes a pixel
        counts += np.bincount(mask[top : top + _TILE].ravel(), minlength=256)
    return counts.tolist()
