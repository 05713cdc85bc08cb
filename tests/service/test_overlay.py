"""Colours over a picture: inside classes, at their edges, and nowhere else."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.drawing import Colour
from service.overlay import lay_over

GREY = 100
RED, BLUE = (250, 0, 0), (0, 0, 250)


def laid(mask: NDArray[np.uint8], colours: dict[int, Colour]) -> NDArray[np.int64]:
    picture = Image.new("RGB", mask.shape[::-1], (GREY,) * 3)
    assert lay_over(picture, mask, colours) is picture
    return np.asarray(picture).astype(np.int64)


def test_inside_a_class_its_colour_and_the_picture_are_mixed() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:25], mask[10:30, 35:50] = 1, 2
    found = laid(mask, {1: RED, 2: BLUE})
    assert found[20, 17] == pytest.approx([175, 50, 50], abs=2)
    assert found[20, 42] == pytest.approx([50, 50, 175], abs=2)
    assert (found[mask == 0] == GREY).all()


def test_at_its_edge_a_class_has_a_white_line_within_it() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:50] = 1
    bright = laid(mask, {1: RED}).min(-1) > 200
    inside = np.zeros_like(bright)
    inside[11:29, 11:49] = True
    assert (bright == ((mask == 1) & ~inside)).all()


def test_the_border_of_the_picture_is_no_edge() -> None:
    assert (laid(np.full((30, 30), 4, np.uint8), {4: BLUE}).min(-1) < GREY).all()


def test_classes_without_a_colour_stay_as_they_are() -> None:
    mask = np.arange(4, dtype=np.uint8).repeat(10)[None].repeat(20, 0)
    found = laid(mask, {2: RED})
    assert (found[mask != 2] == GREY).all()
    assert (found[mask == 2] != GREY).any(-1).all()
    assert (laid(mask, {}) == GREY).all()


def test_lines_grow_with_the_picture() -> None:
    def width(side: int) -> int:
        mask = np.zeros((side, side), np.uint8)
        mask[:, : side // 2] = 1
        return int((laid(mask, {1: RED})[side // 2].min(-1) > 200).sum())

    assert [width(side) for side in (20, 200, 1500)] == [1, 1, 3]


def test_bands_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(0).integers(0, 3, (40, 30), np.uint8).repeat(8, 0).repeat(8, 1)
    whole = laid(mask, {1: RED, 2: BLUE})
    for band in (1, 240 * 7, 240 * 100):
        monkeypatch.setattr("service.overlay._BAND", band)
        assert (laid(mask, {1: RED, 2: BLUE}) == whole).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3)])
def test_the_thinnest_pictures_are_coloured_too(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, np.uint8)
    mask[0, 0] = 1
    assert (laid(mask, {1: RED})[0, 0] != GREY).any()
