"""Small sets of real pictures: crops of those in scikit-image, and digits drawn by Pillow."""

import pickle
import struct
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CLASSES = {"cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}
TRAINING, TEST = 40, 20
"""Pictures of each part of a benchmark in small."""


def crop(label: str, random: np.random.Generator, side: int) -> Image.Image:
    """A square of the middle of one of the pictures, made this small."""
    with Image.open(Path(skimage.__file__).parent / "data" / CLASSES[label]) as file:
        picture = file.convert("RGB")
    window = int(random.integers(120, 200))
    left = int(random.integers(picture.width // 4, picture.width * 3 // 4 - window // 2))
    top = int(random.integers(0, picture.height - window))
    box = (left, top, left + window, top + window)
    return picture.resize((side, side), Image.Resampling.BILINEAR, box=box)


def write_folder(folder: Path, pictures: int = 10, side: int = 48) -> Path:
    """A folder with a folder of crops for each class."""
    random = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(pictures):
            crop(label, random, side).save(folder / label / f"{number}.png")
    return folder


def digit(
    text: str,
    side: int = 28,
    *,
    height: float = 20 / 28,
    bold: float = 0.0,
    centre: tuple[float, float] = (0.5, 0.5),
) -> NDArray[np.uint8]:
    """A digit in Pillow's own font, light on dark, ``uint8[side, side]``.

    Args:
        text: the digit.
        side: of the picture.
        height: of the digit, as a share of the side.
        bold: what is added around its strokes, as a share of its height.
        centre: of the digit, across and down, as shares of the side.
    """
    picture = Image.new("L", (side, side))
    draw = ImageDraw.Draw(picture)
    size = height * side
    font = ImageFont.load_default(size / 0.73)  # a digit is 0.73 of the font's size
    at = (centre[0] * side, centre[1] * side)
    stroke = round(bold * size)
    left, top, right, bottom = draw.textbbox(at, text, font=font, stroke_width=stroke)
    middle = (2 * at[0] - (left + right) / 2, 2 * at[1] - (top + bottom) / 2)
    draw.text(middle, text, fill=255, font=font, stroke_width=stroke)
    return np.asarray(picture)


def _idx(values: NDArray[np.uint8]) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def write_mnist(folder: Path, *, crops: bool = False) -> Path:
    """MNIST's four files in small: drawn digits, or grey crops in their place."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    labels = list(CLASSES)
    for stem, count in (("train", TRAINING), ("t10k", TEST)):
        targets = (np.arange(count) % 10).astype(np.uint8)
        pictures = [
            np.asarray(crop(labels[target % 3], random, 28).convert("L"))
            if crops
            else digit(str(target), bold=random.uniform(0, 0.06))
            for target in targets.tolist()
        ]
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(_idx(np.stack(pictures)))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(_idx(targets))
    return folder


def write_cifar(folder: Path) -> Path:
    """CIFAR-10's Python files in small: crops, a class of three again and again."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(2)
    labels = list(CLASSES)
    counts = {f"data_batch_{number}": TRAINING // 5 for number in range(1, 6)}
    first = 0
    for name, count in (*counts.items(), ("test_batch", TEST)):
        targets = [index % 10 for index in range(first, first + count)]
        first += count
        pictures = [np.asarray(crop(labels[target % 3], random, 32)) for target in targets]
        data = np.stack(pictures).transpose(0, 3, 1, 2).reshape(count, -1)
        content = {"batch_label": name, "labels": targets, "data": data}
        (folder / name).write_bytes(pickle.dumps(content))
    return folder
