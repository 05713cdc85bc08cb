"""Small sets of pictures with masks: coloured shapes on noise, in the forms that are read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw

from service.drawing import Colour
from service.palette import voc_colour
from training.data.camvid import CLASSES as CAMVID
from training.data.masked import VOID

CLASSES = ("background", "disc", "square")
COLOURS: tuple[Colour, ...] = ((0, 0, 0), (220, 40, 40), (40, 60, 220))
"""Of the classes, in pictures and in colour masks."""

_VOC = [voc_colour(number) for number in range(VOID + 1)]


def draw(
    seed: int, *, width: int = 96, height: int = 72, edges: bool = False
) -> tuple[Image.Image, NDArray[np.uint8]]:
    """A disc on the left and a square on the right, on dark noise, and the class of each pixel.

    Args:
        seed: of noise and places.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        edges: whether a line around each shape is void, as VOC's are.
    """
    random = np.random.default_rng(seed)
    picture = Image.fromarray(random.integers(0, 60, (height, width, 3), dtype=np.uint8))
    mask = Image.new("L", (width, height))
    room = min(height, width // 2)
    for number, name in enumerate(CLASSES[1:], 1):
        side = int(random.integers(room // 3, room * 2 // 3))
        left = int(random.integers(0, width // 2 - side)) + (number - 1) * width // 2
        top = int(random.integers(0, height - side))
        box = (left, top, left + side - 1, top + side - 1)
        for image, fill, line in (
            (picture, COLOURS[number], None),
            (mask, number, VOID if edges else None),
        ):
            pen = ImageDraw.Draw(image)
            shape = pen.ellipse if name == "disc" else pen.rectangle
            shape(box, fill=fill, outline=line)
    return picture, np.asarray(mask)


def write_mask(path: Path, mask: NDArray[np.uint8], palette: Sequence[Colour] = ()) -> Path:
    """A PNG: grey, or indexed where there is a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if palette:
        image.putpalette([value for colour in palette for value in colour])
    image.save(path)
    return path


def write_picture(path: Path, picture: Image.Image, orientation: int = 1) -> Path:
    """A picture file, as EXIF has it turned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(path, exif=exif)
    return path


def write_masks(folder: Path, count: int, first_seed: int = 0, suffix: str = ".png") -> Path:
    """``images`` and ``masks`` of pictures called 0000 and so on, and ``labels.txt`` beside."""
    for seed in range(first_seed, first_seed + count):
        picture, mask = draw(seed)
        write_picture(folder / "images" / f"{seed:04}{suffix}", picture)
        write_mask(folder / "masks" / f"{seed:04}.png", mask)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return folder


def write_camvid(folder: Path, counts: Mapping[str, int] | None = None) -> Path:
    """CamVid's folders; masks show each class and void (11) in stripes."""
    for part, count in (counts or {"train": 3, "val": 1, "test": 2}).items():
        for number in range(count):
            stripes = np.arange(96, dtype=np.uint8) // 8 % (len(CAMVID) + 1)
            name = f"{part}{number}.png"
            write_picture(folder / part / name, draw(number)[0])
            write_mask(folder / f"{part}annot" / name, np.tile(stripes, (72, 1)))
    return folder


def write_voc_masks(
    folder: Path, stems: Iterable[str], *, edges: bool = True, masks: str = "SegmentationClass"
) -> Path:
    """JPEGs and masks of these names in VOC's folders; the shapes are aeroplane and bicycle."""
    for seed, stem in enumerate(stems):
        picture, mask = draw(seed, edges=edges)
        write_picture(folder / "JPEGImages" / f"{stem}.jpg", picture)
        write_mask(folder / masks / f"{stem}.png", mask, _VOC)
    return folder


def write_lists(folder: Path, lists: Mapping[str, Iterable[str]]) -> None:
    """Lists of names, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, stems in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))
