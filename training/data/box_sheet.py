"""A sheet of pictures with their boxes, to see what a detector is shown."""

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.data.box_augment import Example
from training.data.box_pictures import BoxPictures
from training.run import replacing

_GAP = 4


def contact_sheet(
    pictures: BoxPictures, path: Path, *, count: int = 6, variants: int = 3, side: int = 320
) -> None:
    """Write a picture of what a detector learns from.

    Args:
        pictures: where the pictures are from; evenly spread over the set.
        path: of the PNG.
        count: rows, each a picture as the service makes it and then varied.
        variants: columns beside the first, each an epoch; none if ``pictures`` does not vary them.
        side: of each picture on the sheet, in pixels.
    """
    size, pad_value = pictures.geometry.width, pictures.geometry.pad_value
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int))
    plain = BoxPictures(pictures.boxed.subset(chosen), size, pad_value, memory_mib=0)
    columns = [[plain[row] for row in range(len(plain))]]
    if pictures.is_varied:
        before = pictures.epoch
        for epoch in range(variants):
            pictures.set_epoch(epoch)
            columns.append([pictures[index] for index in chosen.tolist()])
        pictures.set_epoch(before)
    cell = side + _GAP
    sheet = Image.new("RGB", (cell * len(columns) + _GAP, cell * len(chosen) + _GAP), "white")
    for column, examples in enumerate(columns):
        for row, example in enumerate(examples):
            tile = _drawn(example, pictures.boxed.classes, side)
            sheet.paste(tile, (_GAP + column * cell, _GAP + row * cell))
    with replacing(path) as temporary:
        sheet.save(temporary)


def _drawn(example: Example, classes: tuple[str, ...], side: int) -> Image.Image:
    """A picture with its boxes; those that are ignored are grey."""
    tile = Image.fromarray(example.image.permute(1, 2, 0).contiguous().numpy())
    scale = side / tile.width
    tile = tile.resize((side, side), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(11)
    objects = zip(example.boxes.tolist(), example.labels, example.ignored, strict=True)
    for box, label, ignored in objects:
        colour = (128, 128, 128) if ignored else _colour(int(label), len(classes))
        x_min, y_min, x_max, y_max = (value * scale for value in box)
        # A box covers the pixels from its first corner to before its second.
        draw.rectangle((x_min, y_min, max(x_min, x_max - 1), max(y_min, y_max - 1)), outline=colour)
        name = classes[int(label)]
        at = (x_min + 1, max(0.0, y_min - 12))
        draw.rectangle(draw.textbbox(at, name, font=font), fill=colour)
        draw.text(at, name, fill="black", font=font)
    return tile


def _colour(label: int, classes: int) -> tuple[int, int, int]:
    """A bright colour, different for every class."""
    red, green, blue = colorsys.hsv_to_rgb(label / classes, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
