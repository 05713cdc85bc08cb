"""The classes of a mask laid over its picture in colour."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.drawing import Colour, line_width

# How much, of 255, colours cover what is inside a class, and white its edge.
_INSIDE, _EDGE = 128, 208
# Stands for an edge among the values of a mask.
_AT_EDGE = 255
# Pixels that are worked on at a time.
_BAND = 1 << 20


def lay_over(
    picture: Image.Image, mask: NDArray[np.uint8], colours: Mapping[int, Colour]
) -> Image.Image:
    """Colour an RGB picture by class, with a white line along each edge, and return it.

    The work goes from band to band of rows, so little is held besides the picture and the mask.

    Args:
        picture: W x H, which is changed.
        mask: ``uint8[H,W]``, values up to 254.
        colours: those of the values to colour; other pixels stay as they are.
    """
    height, width = mask.shape
    line = max(1, line_width(picture.size) // 2)
    cover, paint = np.zeros(256, np.uint8), np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        cover[value], paint[value] = _INSIDE, colour
    covered = cover > 0
    cover[_AT_EDGE], paint[_AT_EDGE] = _EDGE, 255
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        first, bottom = max(0, top - line), min(top + rows, height)
        values = mask[top:bottom]
        edge = _edges(mask[first : bottom + line], line)[top - first :][: bottom - top]
        values = np.where(edge & covered[values], np.uint8(_AT_EDGE), values)
        colour_of, cover_of = Image.fromarray(paint[values]), Image.fromarray(cover[values])
        picture.paste(colour_of, (0, top), cover_of)
    return picture


def _edges(mask: NDArray[np.uint8], line: int) -> NDArray[np.bool_]:
    """Where another value lies next to a pixel, or ``line`` pixels away, in its row or column."""
    found = np.zeros(mask.shape, np.bool_)
    for far in {1, line}:
        across = mask[:, far:] != mask[:, :-far]
        found[:, far:] |= across
        found[:, :-far] |= across
        down = mask[far:] != mask[:-far]
        found[far:] |= down
        found[:-far] |= down
    return found
