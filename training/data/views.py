"""Views of a picture, for a network that learns from what a frozen backbone makes of them."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.contract import InputGeometry
from service.errors import SightlineError
from service.images import Limits, Picture, Size, decode
from service.resize import fit, needed_size
from training.data.errors import DataError
from training.data.pictures import prepare

PLAIN, MIRRORED = 0, 1
"""The first two views; those from 2 on are crops."""

#: Share of a picture's area in a crop, and how much wider or higher it may be than the picture.
_AREA, _ASPECT = (0.8, 1.0), (0.9, 1.1)


def view(path: Path, geometry: InputGeometry, number: int, seed: int) -> NDArray[np.uint8]:
    """One view of a picture.

    Args:
        path: of its file.
        geometry: of the view.
        number: 0 for the picture as the service prepares it, 1 for the same mirrored, 2 and more
            for crops of 80 to 100 % of its area, at most a tenth wider or higher than it, half of
            them mirrored.
        seed: of crops, together with ``number``.

    Returns:
        ``uint8[H, W, 3]``.

    Raises:
        DataError: the file cannot be read or is damaged; the message names it.
    """
    if number in (PLAIN, MIRRORED):
        pixels = prepare(path, geometry)
        return np.ascontiguousarray(pixels[:, ::-1]) if number == MIRRORED else pixels
    random = np.random.default_rng((seed, number))
    try:
        whole = decode(path.read_bytes(), Limits(), partial(_needed, geometry=geometry))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except SightlineError as error:
        raise DataError(f"{path}: {error}") from error
    pixels = fit(_crop(whole, random), geometry)[0]
    return np.ascontiguousarray(pixels[:, ::-1]) if random.random() < 0.5 else pixels


def _needed(stored: Size, geometry: InputGeometry) -> Size:
    """As for the whole picture, but for what a crop is enlarged by."""
    width, height = needed_size(stored, geometry)
    scale = 1 / (_AREA[0] * _ASPECT[0]) ** 0.5
    return round(width * scale), round(height * scale)


def _crop(picture: Picture, random: np.random.Generator) -> Picture:
    left, top, right, bottom = picture.box
    area, aspect = random.uniform(*_AREA), np.exp(random.uniform(*np.log(_ASPECT)))
    width = max(1, round((right - left) * min(1, (area * aspect) ** 0.5)))
    height = max(1, round((bottom - top) * min(1, (area / aspect) ** 0.5)))
    x = left + random.uniform(0, max(0, right - left - width))
    y = top + random.uniform(0, max(0, bottom - top - height))
    box = (round(x), round(y), round(x) + width, round(y) + height)
    return Picture(picture.pixels.crop(box), width, height, (0, 0, width, height))
