"""Sheets of pictures with their masks, to see what a segmenter is shown and what it answers."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.drawing import Colour, letters, readable
from training.data.mask_augment import Example
from training.data.mask_pictures import MaskPictures
from training.data.masked import VOID, MaskedSet
from training.run import replacing

Row = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], str]
"""A picture ``uint8[H, W, 3]``, its mask ``uint8[h, w]``, what was predicted ``uint8[h, w]``, and
what is written above them."""

_GAP, _TEXT = 6, 13
_TITLES = ("picture", "truth", "prediction")
_PALE = (110, 110, 110)
#: Of the colours over a picture.
_OPACITY = 0.55
#: Void is striped in these greys, as no class is.
_STRIPES, _STRIPE = np.array(((40, 40, 40), (110, 110, 110)), np.uint8), 4


def contact_sheet(
    pictures: MaskPictures, path: Path, *, count: int = 6, variants: int = 3, side: int = 320
) -> None:
    """Write a picture of what a segmenter learns from: the masks' colours over the pictures.

    Args:
        pictures: where the pictures are from; evenly spread over the set.
        path: of the PNG.
        count: rows, each a picture as the service makes it and then varied.
        variants: columns beside the first, each an epoch; none if ``pictures`` does not vary them.
        side: the longer one of each picture on the sheet, in pixels.
    """
    masked, geometry = pictures.masked, pictures.geometry
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int))
    plain = MaskPictures(masked.subset(chosen), geometry.height, geometry.width, geometry.pad_value)
    columns = [[plain[row] for row in range(len(plain))]]
    if pictures.is_varied:
        before = pictures.epoch
        for epoch in range(variants):
            pictures.set_epoch(epoch)
            columns.append([pictures[index] for index in chosen.tolist()])
        pictures.set_epoch(before)
    tiles = [[_overlaid(example, masked, side) for example in each] for each in columns]
    sheet = _grid(list(zip(*tiles, strict=True)), masked.classes, masked.colours)
    with replacing(path) as temporary:
        sheet.save(temporary)


def comparison_sheet(
    rows: Sequence[Row], palette: Sequence[Colour], classes: Sequence[str], *, side: int = 400
) -> Image.Image:
    """Draw pictures, their masks and what was predicted beside one another.

    Args:
        rows: what to draw, at least one; masks hold positions of ``classes``, 255 for void.
        palette: the colour of each class.
        classes: their names, for the legend.
        side: the longer one of each picture on the sheet, in pixels.

    Returns:
        RGB. Void is striped in grey.
    """
    tiles = []
    for picture, truth, prediction, _ in rows:
        image = Image.fromarray(picture)
        size = _size(image, side)
        masks = (_painted(mask, palette, size) for mask in (truth, prediction))
        tiles.append((image.resize(size, Image.Resampling.LANCZOS), *masks))
    captions = [caption for *_, caption in rows]
    return _grid(tiles, classes, palette, titles=_TITLES, captions=captions)


def _size(image: Image.Image, side: int) -> tuple[int, int]:
    """With the longer side of this length."""
    scale = side / max(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _overlaid(example: Example, masked: MaskedSet, side: int) -> Image.Image:
    """A picture under its mask's colours, but for the background, which has none."""
    image = Image.fromarray(example.image.permute(1, 2, 0).contiguous().numpy())
    size = _size(image, side)
    image = image.resize(size, Image.Resampling.BILINEAR)
    mask = example.mask.numpy()
    coloured = Image.blend(image, _painted(mask, masked.colours, size), _OPACITY)
    if masked.background is not None:
        is_bare = Image.fromarray(mask == masked.classes.index(masked.background))
        coloured.paste(image, mask=is_bare.resize(size, Image.Resampling.NEAREST))
    return coloured


def _painted(
    mask: NDArray[np.uint8], palette: Sequence[Colour], size: tuple[int, int]
) -> Image.Image:
    """A mask in its colours, and void in stripes."""
    resized = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    table = np.zeros((VOID + 1, 3), np.uint8)
    table[: len(palette)] = palette
    rows, columns = np.indices(resized.shape)
    stripes = _STRIPES[(rows + columns) // _STRIPE % len(_STRIPES)]
    return Image.fromarray(np.where((resized == VOID)[..., None], stripes, table[resized]))


def _grid(
    tiles: Sequence[Sequence[Image.Image]],
    classes: Sequence[str],
    palette: Sequence[Colour],
    titles: Sequence[str] = (),
    captions: Sequence[str] = (),
) -> Image.Image:
    """Columns of pictures under their titles, rows under their captions, above a legend."""
    widths = [max(tile.width for tile in column) for column in zip(*tiles, strict=True)]
    heights = [max(tile.height for tile in row) for row in tiles]
    lefts = list(accumulate((width + _GAP for width in widths), initial=_GAP))
    line = _TEXT + _GAP
    top = _GAP + (line if titles else 0)
    tops = list(
        accumulate((height + _GAP + (line if captions else 0) for height in heights), initial=top)
    )
    legend = _legend(classes, palette, lefts[-1] - 2 * _GAP)
    sheet = Image.new("RGB", (lefts[-1], tops[-1] + legend.height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = letters(_TEXT)
    for title, left in zip(titles, lefts, strict=False):
        draw.text((left, _GAP), title, fill=_PALE, font=font)
    for caption, top in zip(captions, tops, strict=False):
        draw.text((_GAP, top), caption, fill="black", font=font)
    for row, top in zip(tiles, tops, strict=False):
        for tile, left in zip(row, lefts, strict=False):
            sheet.paste(tile, (left, top + (line if captions else 0)))
    sheet.paste(legend, (_GAP, tops[-1]))
    return sheet


def _legend(classes: Sequence[str], palette: Sequence[Colour], width: int) -> Image.Image:
    """The colour of each class and of void, in lines."""
    font = letters(_TEXT)
    line = _TEXT + _GAP
    names = [*(readable(name, number) for number, name in enumerate(classes)), "void"]
    places = []
    left = top = 0
    for name in names:
        needed = line + round(font.getlength(name)) + 2 * _GAP
        if left and left + needed > width:
            left, top = 0, top + line
        places.append((left, top))
        left += needed
    legend = Image.new("RGB", (width, top + line), "white")
    draw = ImageDraw.Draw(legend)
    swatch = (_TEXT, _TEXT)
    for position, (name, (left, top)) in enumerate(zip(names, places, strict=True)):
        value = position if position < len(classes) else VOID
        colour = _painted(np.full((1, 1), value, np.uint8), palette, swatch)
        legend.paste(colour, (left, top + 1))
        draw.rectangle((left, top + 1, left + _TEXT - 1, top + _TEXT), outline=_PALE)
        draw.text((left + line, top), name, fill="black", font=font)
    return legend
