"""Where a network looked, as a grey picture over the original."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.resize import Placement

LONGEST_SIDE: Final = 256
"""Pixels of a heat map's longer side, unless the original has fewer."""

# Of a cell: what rounding may move an edge by.
_HAIR = 1e-6


def heat_map(
    weights: NDArray[np.floating], placement: Placement, input_size: Sequence[int]
) -> NDArray[np.uint8]:
    """Lay a grid of weights over the upright original.

    The grid's cells cover a graph's input evenly. What the input has besides the original is cut
    off, and where the original reaches beyond the input the map is 0. Between the centres of the
    cells that touch the original the weights are interpolated bicubically.

    Args:
        weights: ``float[gh,gw]``, not negative.
        placement: where the original lies in the graph's input.
        input_size: height and width of the input in pixels.

    Returns:
        ``uint8[h,w]`` of the original's shape, the longer side LONGEST_SIDE or the original's if
        that is less; the highest weight seen is 255.
    """
    original = (placement.height, placement.width)
    shrunk = min(1.0, LONGEST_SIDE / max(original))
    size = [max(1, round(length * shrunk)) for length in original]
    down, across = (
        _Window.of(*each)
        for each in zip(
            size,
            original,
            placement.scale[::-1],
            placement.offset[::-1],
            input_size,
            weights.shape,
            strict=True,
        )
    )
    touched = weights[down.cells, across.cells].astype(np.float32)
    seen = Image.fromarray(touched).resize(
        (across.pixels.stop - across.pixels.start, down.pixels.stop - down.pixels.start),
        Image.Resampling.BICUBIC,
        (across.begin, down.begin, across.end, down.end),
    )
    grey = np.maximum(np.asarray(seen), 0)  # what bicubic interpolation undershoots
    found = np.zeros(size, np.uint8)
    if (highest := grey.max()) > 0:
        found[down.pixels, across.pixels] = np.rint(grey.astype(np.float64) / highest * 255)
    return found


def png(grey: NDArray[np.uint8]) -> bytes:
    """A PNG of ``uint8[h,w]``."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Window:
    """What is seen along one axis.

    Attributes:
        pixels: of the map, that the graph's input covers.
        cells: of the grid, that touch the original.
        begin: where in these cells the pixels begin.
        end: where they end.
    """

    pixels: slice
    cells: slice
    begin: float
    end: float

    @classmethod
    def of(
        cls, length: int, original: int, scale: float, offset: float, side: int, count: int
    ) -> Self:
        """The window of a map.

        Args:
            length: of the map, in pixels.
            original: length of the original.
            scale: from the original to the input.
            offset: of the original in the input.
            side: of the input.
            count: of the grid's cells.
        """
        step = original / length  # pixels of the original
        first = max(0, floor(-offset / scale / step))
        last = min(length, ceil((side - offset) / scale / step))
        begin, end = ((edge * step * scale + offset) * count / side for edge in (first, last))
        begin, end = max(0.0, begin), min(float(count), end)
        start, stop = floor(begin + _HAIR), ceil(end - _HAIR)
        return cls(
            slice(first, last),
            slice(start, stop),
            max(0.0, begin - start),
            min(end - start, float(stop - start)),
        )
