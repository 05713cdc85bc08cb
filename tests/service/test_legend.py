"""A legend: whole, in the freest corner, never most of the picture, and no letters too small."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.legend import Entry, draw_legend

PAPER = (90, 120, 150)
RED, BLUE = (250, 0, 0), (0, 0, 250)
ENTRIES = [Entry(RED, "person 43.3%"), Entry(BLUE, "boat 9.0%")]
NOTHING = np.zeros((10, 10), np.bool_)
SIZES = [(640, 480), (480, 640), (100, 100), (3000, 400), (400, 3000), (2400, 1800)]


def drawn(
    size: tuple[int, int], entries: list[Entry] = ENTRIES, busy: NDArray[np.bool_] = NOTHING
) -> NDArray[np.uint8]:
    picture = Image.new("RGB", size, PAPER)
    assert draw_legend(picture, entries, busy) is picture
    return np.asarray(picture)


def extent(found: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom around what is true."""
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def panel(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    return extent((pixels != PAPER).any(-1))


def of(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (pixels == colour).all(-1)
    return found


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_has_its_swatch_and_text_in_a_panel(size: tuple[int, int]) -> None:
    pixels = drawn(size)
    left, top, right, bottom = panel(pixels)
    assert 0 < left < right < size[0]
    assert 0 < top < bottom < size[1]
    assert (pixels[top:bottom, left:right] != PAPER).any(-1).all()  # a ground without gaps
    assert (right - left) * (bottom - top) <= 0.27 * size[0] * size[1]
    red, blue = extent(of(pixels, RED)), extent(of(pixels, BLUE))
    assert red[0] == blue[0]
    assert red[3] < blue[1]
    for swatch in (red, blue):
        beside = pixels[swatch[1] : swatch[3], swatch[2] + 1 : right]
        letters = (beside.min(-1) > 200).any(0)
        assert letters.sum() > (swatch[2] - swatch[0])
        assert not letters[-1]  # no letter is cut off


@pytest.mark.parametrize("size", [(333, 17), (150, 17), (333, 21), (60, 400), (70, 1000)])
def test_a_panel_in_a_narrow_picture_is_whole(size: tuple[int, int]) -> None:
    entry = [Entry(RED, "sky 9%")]
    pixels = drawn(size, entry)
    left, top, right, bottom = panel(pixels)
    assert left - (size[0] - right) <= 0  # in the upper left corner
    assert top - (size[1] - bottom) <= 0
    assert (pixels[top:bottom, left:right] != PAPER).any(-1).all()
    there = np.ones((4, 4), np.bool_)
    there[-1, -1] = False
    moved = drawn(size, entry, there)
    shifted = extent((moved != PAPER).any(-1))
    assert (shifted[2] - shifted[0], shifted[3] - shifted[1]) == (right - left, bottom - top)
    assert of(moved, RED).sum() == of(pixels, RED).sum() > 0


def test_letters_grow_with_the_picture() -> None:
    heights = [panel(drawn((side, side)))[3] for side in (100, 300, 900, 1500)]
    assert heights == sorted(set(heights))


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_it_stands_in_the_corner_where_it_hides_least(corner: tuple[int, int]) -> None:
    busy = np.ones((8, 8), np.bool_)
    rows, columns = (slice(4 * half, 4 * half + 4) for half in corner)
    busy[rows, columns] = False
    left, top, right, bottom = panel(drawn((640, 480), busy=busy))
    assert (top > 240, left > 320) == tuple(map(bool, corner))
    assert (bottom < 240, right < 320) == tuple(not half for half in corner)


def test_a_text_of_several_lines_is_written_in_one() -> None:
    pixels = drawn((640, 480), [Entry(RED, "traffic\n light")])
    assert (pixels == drawn((640, 480), [Entry(RED, "traffic light")])).all()


def test_what_does_not_fit_is_counted() -> None:
    many = [Entry((250, 5 * number, 0), f"class {number}") for number in range(40)]
    pixels = drawn((200, 120), many)
    shown = [entry for entry in many if entry.colour and of(pixels, entry.colour).any()]
    assert shown == many[: len(shown)]
    assert 1 < len(shown) < 40
    fewer = drawn((200, 120), [*many[: len(shown)], Entry(None, f"+ {40 - len(shown)} more")])
    assert (pixels == fewer).all()


@pytest.mark.parametrize("size", [(40, 30), (1, 1), (3, 900), (900, 3)])
def test_a_picture_too_small_for_letters_has_no_legend(size: tuple[int, int]) -> None:
    assert (drawn(size) == PAPER).all()


def test_nothing_to_tell_is_no_legend() -> None:
    assert (drawn((640, 480), []) == PAPER).all()
