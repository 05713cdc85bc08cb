"""Colours of a segmenter's labels."""

import re
from typing import Final

from service.contract import Manifest
from service.drawing import Colour
from service.errors import ManifestError

_HEX = re.compile(r"#[0-9a-fA-F]{6}")

#: The value of a mask's pixels that belong to no label, and the place of their colour.
VOID: Final = 255


def palette(manifest: Manifest) -> tuple[Colour, ...]:
    """A colour for every label, as ``options.palette`` says, or else PASCAL VOC's.

    VOC's colours are counted from 0, which is black, if there is a background, else from 1.

    Raises:
        ManifestError: ``options.palette`` is not a ``#rrggbb`` for every label.
    """
    count, told = len(manifest.labels), manifest.options.get("palette")
    if told is None:
        first = 0 if "background" in manifest.options else 1
        return tuple(voc_colour(index) for index in range(first, first + count))
    field = f"model {manifest.name!r}: options.palette"
    colours = told.split() if isinstance(told, str) else []
    if len(colours) != count:
        raise ManifestError(f"{field}: {count} labels need as many colours, separated by spaces")
    for colour in colours:
        if not _HEX.fullmatch(colour):
            raise ManifestError(f"{field}: {colour!r} is no colour of the form #rrggbb")
    return tuple((int(c[1:3], 16), int(c[3:5], 16), int(c[5:], 16)) for c in colours)


def voc_colour(index: int) -> Colour:
    """A colour of PASCAL VOC's map, 0 to 255 (``VOClabelcolormap`` of its development kit).

    Bits 0, 1 and 2 of the index are the highest bits of red, green and blue, bits 3, 4 and 5 the
    next, and so on. 0 is black; 255, which VOC draws the borders of objects in, a pale yellow.
    """
    red = green = blue = 0
    for place in range(8):
        bits = index >> (3 * place)
        red |= (bits & 1) << (7 - place)
        green |= (bits >> 1 & 1) << (7 - place)
        blue |= (bits >> 2 & 1) << (7 - place)
    return red, green, blue


def written(colour: Colour) -> str:
    """A colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
