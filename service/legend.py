"""A list of what colours stand for, on a picture, where it hides the least."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.drawing import LEAST_TEXT, Colour, letters, text_height

# Most of the picture's width, height and area that a legend may take.
_MOST_SIDE, _MOST_AREA = 0.9, 0.25
_GROUND: Colour = (20, 20, 20)
_TEXT: Colour = (255, 255, 255)
# How much of the ground's colour covers the picture.
_COVER = 0.72
# Of the letters' height: around the entries, from one to the next, the swatch and its room.
_PADDING, _LINE, _SWATCH, _INDENT = 0.4, 1.3, 0.9, 1.4
_MEASURED = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend.

    Attributes:
        colour: of its swatch; None for a line of text alone.
        text: beside it.
    """

    colour: Colour | None
    text: str


def draw_legend(
    picture: Image.Image, entries: Sequence[Entry], busy: NDArray[np.bool_]
) -> Image.Image:
    """Draw a legend into a corner of an RGB picture, and return the picture.

    Letters grow with the picture, and shrink where the legend would take more than a quarter of
    it. Where they would no longer be letters the last entries give way to a line that counts them;
    a picture too small for one entry has no legend.

    Args:
        picture: is changed.
        entries: the most important first.
        busy: ``bool[h,w]`` of any size: what of the picture had better not be hidden.
    """
    one_line = [Entry(entry.colour, " ".join(entry.text.split())) for entry in entries]
    panel = _panel(picture.size, one_line)
    if panel is None:
        return picture
    room = picture.width - panel.width, picture.height - panel.height
    across, down = (min(panel.padding, free // 2) for free in room)  # the margins
    places = product((across, room[0] - across), (down, room[1] - down))
    left, top = min(places, key=lambda place: _hidden(busy, place, panel, picture.size))
    box = (left, top, left + panel.width, top + panel.height)
    ground = Image.new("RGB", (panel.width, panel.height), _GROUND)
    picture.paste(Image.blend(picture.crop(box), ground, _COVER), box)
    panel.write(ImageDraw.Draw(picture), left, top)
    return picture


@dataclass(frozen=True, slots=True)
class _Panel:
    """Entries laid out; lengths in pixels."""

    entries: Sequence[Entry]
    font: ImageFont.FreeTypeFont
    padding: int
    line: int
    width: int
    height: int

    def write(self, draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
        """Write the entries on a ground whose upper left corner is given."""
        swatch = round(self.font.size * _SWATCH)
        x = left + self.padding
        for number, entry in enumerate(self.entries):
            middle = top + self.padding + (number + 0.5) * self.line
            if entry.colour is not None:
                above = round(middle - swatch / 2)
                around = (x, above, x + swatch - 1, above + swatch - 1)
                draw.rectangle(around, entry.colour, _TEXT, max(1, swatch // 14))
            draw.text(
                (x + round(self.font.size * _INDENT), middle),
                entry.text,
                _TEXT,
                self.font,
                anchor="lm",
            )


def _panel(size: tuple[int, int], entries: Sequence[Entry]) -> _Panel | None:
    """The fullest layout, in the largest letters, for a picture of a width and height."""
    measure = letters(_MEASURED)
    for shown in range(len(entries), 0, -1):
        more = len(entries) - shown
        lines = [*entries[:shown], *([Entry(None, f"+ {more} more")] if more else [])]
        # Width and height of the panel in heights of a letter.
        text = max(measure.getlength(entry.text) for entry in lines) / _MEASURED
        wide, tall = text + _INDENT + 2 * _PADDING, len(lines) * _LINE + 2 * _PADDING
        height = int(
            min(
                text_height(size),
                _MOST_SIDE * size[0] / wide,
                _MOST_SIDE * size[1] / tall,
                sqrt(_MOST_AREA * size[0] * size[1] / (wide * tall)),
            )
        )
        if height >= LEAST_TEXT:
            padding, line = round(height * _PADDING), round(height * _LINE)
            width = ceil(wide * height)
            return _Panel(
                lines, letters(height), padding, line, width, len(lines) * line + 2 * padding
            )
    return None


def _hidden(
    busy: NDArray[np.bool_], place: tuple[int, int], panel: _Panel, size: tuple[int, int]
) -> float:
    """The share of a panel's place that is busy."""
    across, down = busy.shape[1] / size[0], busy.shape[0] / size[1]
    rows = slice(int(place[1] * down), ceil((place[1] + panel.height) * down))
    columns = slice(int(place[0] * across), ceil((place[0] + panel.width) * across))
    return float(busy[rows, columns].mean())
