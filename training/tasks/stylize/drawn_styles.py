"""Styles drawn by code: nobody's pictures."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

SIDE = 512
"""Of the pictures, in pixels."""

_INK, _PAPER = (28, 32, 48), (238, 230, 212)
_GLASS = ((196, 54, 48), (236, 176, 52), (46, 104, 168), (52, 142, 98), (242, 234, 214))
_DOTS = ((232, 92, 80), (64, 120, 190), (250, 206, 92), (70, 160, 140))


def mosaic() -> NDArray[np.uint8]:
    """Pieces of coloured glass between dark joints, ``uint8[SIDE, SIDE, 3]``."""
    random = np.random.default_rng(1)
    centres = random.uniform(0, SIDE, (260, 2))
    colours = np.array(_GLASS)[random.integers(len(_GLASS), size=len(centres))]
    picture = np.empty((SIDE, SIDE, 3))
    columns = np.arange(SIDE)
    for row in range(SIDE):  # all rows at once would take half a gigabyte
        distance = np.hypot(centres[:, 0, None] - row, centres[:, 1, None] - columns)
        nearest = np.partition(distance, 1, axis=0)
        picture[row] = colours[distance.argmin(0)]
        picture[row, nearest[1] - nearest[0] < 3] = _INK
    return picture.astype(np.uint8)


def hatching() -> NDArray[np.uint8]:
    """Strokes of ink on paper, closer together where it is darker, ``uint8[SIDE, SIDE, 3]``."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    shade = 0.5 + 0.3 * np.sin(7 * x + 3 * np.sin(5 * y)) + 0.2 * np.cos(9 * y)
    wobble = 0.004 * np.sin(40 * x + 31 * y)
    along = np.sin(2 * np.pi * 44 * (x + y + wobble)) > 1.6 * shade - 0.9
    across = np.sin(2 * np.pi * 44 * (x - y - wobble)) > 1.6 * shade - 0.3
    picture = np.where((along | across)[..., None], _INK, _PAPER)
    return picture.astype(np.uint8)


def points() -> NDArray[np.uint8]:
    """Dots of pure colours side by side, ``uint8[SIDE, SIDE, 3]``."""
    random = np.random.default_rng(2)
    picture = np.empty((SIDE, SIDE, 3), np.uint8)
    picture[:] = _PAPER
    down, right = np.mgrid[-6:7, -6:7]
    for row, column in random.integers(0, SIDE, (9000, 2)).tolist():
        # One colour is likelier than the others in each part of the picture.
        likely = (row // 171 + column // 171) % len(_DOTS)
        colour = likely if random.random() < 0.6 else int(random.integers(len(_DOTS)))
        inside = np.hypot(down, right) < random.uniform(2.5, 5.5)
        picture[(row + down[inside]) % SIDE, (column + right[inside]) % SIDE] = _DOTS[colour]
    return picture


DRAWN: Mapping[str, tuple[str, Callable[[], NDArray[np.uint8]]]] = {
    "mosaic": ("Pieces of coloured glass", mosaic),
    "hatching": ("Strokes of ink on paper", hatching),
    "points": ("Dots of pure colours", points),
}
"""Title and picture of each, by name."""
