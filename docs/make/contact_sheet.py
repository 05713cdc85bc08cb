"""Pictures side by side with a word under each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFont

_GAP: Final = 8
_LETTERS: Final = 15
# Grey and a blue that stand out from white as well as from the dark page.
_PAPER, _INK, _BAR = (255, 255, 255), (40, 40, 48), (63, 105, 170)


@dataclass(frozen=True)
class Tile:
    """A picture and what stands under it, which may be nothing."""

    picture: Image.Image
    words: str = ""


def sheet(tiles: Sequence[Tile], height: int, columns: int = 8) -> Image.Image:
    """Rows of at most ``columns`` pictures, each shrunk to ``height`` pixels, on white."""
    strip = height + (_LETTERS + _GAP if any(tile.words for tile in tiles) else 0)
    shrunk = [(_fitted(tile.picture, height), tile.words) for tile in tiles]
    rows = [shrunk[first : first + columns] for first in range(0, len(shrunk), columns)]
    width = max(sum(picture.width + _GAP for picture, _ in row) for row in rows) + _GAP
    paper = Image.new("RGB", (width, len(rows) * (strip + _GAP) + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(_LETTERS)
    top = _GAP
    for row in rows:
        left = _GAP
        for picture, words in row:
            paper.paste(picture, (left, top))
            middle = left + picture.width / 2
            draw.text((middle, top + height + 4), words, _INK, font, anchor="ma")
            left += picture.width + _GAP
        top += strip + _GAP
    return paper


def bars(shares: Sequence[tuple[str, float]], width: int = 420, height: int = 260) -> Image.Image:
    """Labels with a bar each, the longest for 1."""
    paper = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(_LETTERS + 2)
    step = height / len(shares)
    for row, (label, share) in enumerate(shares):
        top = row * step + step * 0.12
        draw.text((0, top), label, _INK, font)
        draw.text((width - 1, top), f"{share:.3f}", _INK, font, anchor="ra")
        below = top + _LETTERS + 10
        draw.rectangle((0, below, width - 1, below + 8), fill=(225, 228, 235))
        draw.rectangle((0, below, max(2, share * width) - 1, below + 8), fill=_BAR)
    return paper


def lit(photo: Image.Image, weights: Image.Image) -> Image.Image:
    """The photograph, dim where ``weights`` (grey, any size) are 0 and as it is at 255."""
    large = weights.resize(photo.size, Image.Resampling.BICUBIC)
    light = large.point([80 + round(175 * (level / 255) ** 0.7) for level in range(256)])
    return ImageChops.multiply(photo, Image.merge("RGB", [light] * 3))


def _fitted(picture: Image.Image, height: int) -> Image.Image:
    width = round(picture.width * height / picture.height)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
