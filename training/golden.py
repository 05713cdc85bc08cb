"""Golden inputs: pictures made up here, so that a model folder holds nobody's photograph."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def golden_pictures(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two smooth pictures that compress well and still excite a network.

    Returns:
        A sunset over hills and a bowl of fruit, each ``uint8[height, width, 3]``; always the same.
    """
    return _sunset(height, width), _fruit(height, width)


def golden_candidates(height: int, width: int) -> list[NDArray[np.uint8]]:
    """The golden pictures and others made of them: mirrored, moved round, in other colours.

    For networks that say something sure of few drawn pictures; see ``golden_pictures``.
    """
    return [
        np.ascontiguousarray(coloured)
        for picture in golden_pictures(height, width)
        for turned in (picture, picture[:, ::-1], picture[::-1])
        for moved in (turned, np.roll(turned, height // 3, 0), np.roll(turned, width // 3, 1))
        for coloured in (moved, moved[..., ::-1], 255 - moved)
    ]


def _grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[:height, :width]
    return (y + 0.5) / height, (x + 0.5) / width


def _sunset(height: int, width: int) -> NDArray[np.uint8]:
    y, x = _grid(height, width)
    sky = np.stack([235 - 120 * (1 - y), 110 + 60 * y, 70 + 110 * (1 - y)], axis=-1)
    _paint(sky, (x - 0.64) ** 2 + (y - 0.46) ** 2 < 0.012, (255, 228, 140))
    for level, colour in ((0.58, (92, 84, 96)), (0.70, (58, 70, 58)), (0.84, (30, 46, 28))):
        ridge = level + 0.05 * np.sin(9 * x + 20 * level) + 0.02 * np.sin(23 * x)
        _paint(sky, y > ridge, colour)
    return _as_pixels(sky)


def _fruit(height: int, width: int) -> NDArray[np.uint8]:
    y, x = _grid(height, width)
    table = np.stack([205 + 0 * x, 190 - 40 * y, 165 - 60 * y], axis=-1)
    for centre_x, centre_y, radius, colour in (
        (0.36, 0.46, 0.15, (222, 70, 50)),
        (0.60, 0.42, 0.16, (240, 150, 40)),
        (0.48, 0.30, 0.13, (150, 190, 60)),
    ):
        distance = np.hypot(x - centre_x, y - centre_y) / radius
        light = np.clip(
            1.15 - 0.5 * np.hypot(x - centre_x + 0.05, y - centre_y + 0.05) / radius, 0, 1
        )
        inside = distance < 1
        table[inside] = light[inside, np.newaxis] * np.array(colour)
    bowl = (y > 0.54) & ((x - 0.48) ** 2 / 0.12 + (y - 0.54) ** 2 / 0.09 < 1)
    _paint(table, bowl, (70, 100, 150))
    _paint(table, bowl & (y < 0.58), (96, 130, 180))
    return _as_pixels(table)


def _paint(picture: NDArray[np.float64], where: NDArray[np.bool_], colour: object) -> None:
    picture[where] = np.asarray(colour, np.float64)


def _as_pixels(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a compressed ``.npz`` whose bytes depend on the arrays alone, not on the clock."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue())
