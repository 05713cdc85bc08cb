"""Boxes with tags on a picture, legible whatever its size and colours."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Corners = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max in pixels."""

#: Distinct colours for neighbouring classes: S. Trubetskoy, "List of 20 simple, distinct colors"
#: (2017), without black, white and grey.
PALETTE: tuple[Colour, ...] = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
    (0, 128, 128),
    (220, 190, 255),
    (170, 110, 40),
    (255, 250, 200),
    (128, 0, 0),
    (170, 255, 195),
    (128, 128, 0),
    (255, 215, 180),
    (0, 0, 128),
)
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
# Of the square root of the picture's area.
_LINE, _TEXT = 1 / 220, 1 / 32
# The height of letters in pixels.
LEAST_TEXT = 6
_GOOD_TEXT, _MOST_TEXT = 10, 160


@dataclass(frozen=True, slots=True)
class Tagged:
    """A box to draw.

    Attributes:
        box: its corners.
        text: on its tag.
        colour: an index of any size; neighbouring ones differ in colour.
    """

    box: Corners
    text: str
    colour: int


def draw_boxes(picture: Image.Image, boxes: Iterable[Tagged]) -> Image.Image:
    """Draw boxes with tags on an RGB picture, the last on top, and return it.

    Lines and letters grow with the picture. A tag stands on its box, or in it where there is no
    room above, always inside the picture; its letters shrink where the picture is too narrow, and
    it is left out where they would no longer be letters or it would hide most of the picture. No
    line crosses a tag.
    """
    pencil = _Pencil(picture)
    tags = []
    for each in boxes:
        colour = PALETTE[each.colour % len(PALETTE)]
        tags.append((each.text, pencil.outline(each.box, colour), colour))
    for text, corner, colour in tags:
        pencil.tag(" ".join(text.split()), corner, colour)
    return picture


def ink(paper: Colour) -> Colour:
    """Black or white, whichever has the higher contrast on a colour (WCAG 2.2, relative luminance).

    Args:
        paper: red, green and blue, 0 to 255.
    """
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in paper)
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _BLACK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else _WHITE


def readable(label: str, index: int) -> str:
    """What a label is called on a tag: itself, or ``#<index>`` if the font lacks a letter of it.

    The font has ASCII and a few signs; whatever else would show as one and the same empty box.
    """
    return label if all(map(_has_letter, "".join(label.split()))) else f"#{index}"


def line_width(size: tuple[int, int]) -> int:
    """The width in pixels of lines that suit a picture of a width and height."""
    return max(1, round(sqrt(size[0] * size[1]) * _LINE))


def text_height(size: tuple[int, int]) -> int:
    """The height in pixels of letters that suit a picture of a width and height."""
    return min(_MOST_TEXT, max(_GOOD_TEXT, round(sqrt(size[0] * size[1]) * _TEXT)))


def letters(height: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, with letters of a height in pixels."""
    font = ImageFont.load_default(height)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as it is whenever a size is given
    return font


class _Pencil:
    """Draws on a picture in lines and letters that suit its size."""

    def __init__(self, picture: Image.Image) -> None:
        self._draw = ImageDraw.Draw(picture)
        self._width, self._height = picture.size
        self._line = line_width(picture.size)
        self._font = letters(text_height(picture.size))

    def outline(self, box: Corners, colour: Colour) -> tuple[int, int]:
        """Outline the pixels a box covers, edged so that it shows on its own colour.

        Returns:
            Its upper left pixel.
        """
        left = min(round(box[0]), self._width - 1)
        top = min(round(box[1]), self._height - 1)
        right = max(left, min(round(box[2]), self._width) - 1)
        bottom = max(top, min(round(box[3]), self._height) - 1)
        line, edge = self._line, self._line // 2
        if edge:
            around = (left - edge, top - edge, right + edge, bottom + edge)
            self._draw.rectangle(around, outline=ink(colour), width=line + 2 * edge)
        self._draw.rectangle((left, top, right, bottom), outline=colour, width=line)
        return left, top

    def tag(self, text: str, corner: tuple[int, int], colour: Colour) -> None:
        """Write a text on a filled ground at a box's upper left corner."""
        font = self._font
        margin = max(1, round(font.size / 5))
        room = max(0, self._width - 2 * margin)
        if (needed := font.getlength(text)) > room:
            smaller = int(font.size * room / needed)
            if smaller < LEAST_TEXT:
                return
            font = letters(smaller)
        ascent, descent = font.getmetrics()
        width, height = ceil(font.getlength(text)) + 2 * margin, ascent + descent + margin
        if 2 * height > self._height:
            return
        left = max(0, min(corner[0], self._width - width))
        top = corner[1] - height
        if top < 0:
            top = min(corner[1], self._height - height)
        ground = (left, top, left + width - 1, top + height - 1)
        self._draw.rectangle(ground, fill=colour)
        self._draw.text((left + margin, top + margin // 2), text, fill=ink(colour), font=font)


@lru_cache(4096)
def _has_letter(character: str) -> bool:
    font = letters(_GOOD_TEXT)
    return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))  # which is no character
