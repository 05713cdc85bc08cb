"""Boxes and tags: where their pixels are, whatever the size of the picture."""

import itertools
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.drawing import PALETTE, Colour, Corners, Tagged, draw_boxes, ink, readable

Extent = tuple[int, int, int, int]
GREY = (127, 127, 127)
SIZES = [(640, 480), (480, 640), (64, 64), (3000, 200), (200, 3000), (2400, 1800)]


def drawn(size: tuple[int, int], *boxes: Tagged) -> NDArray[np.uint8]:
    picture = Image.new("RGB", size, GREY)
    assert draw_boxes(picture, boxes) is picture
    return np.array(picture)


def of(pixels: NDArray[np.uint8], colour: Colour) -> NDArray[np.bool_]:
    """Where a colour is, ``bool[H,W]``."""
    found: NDArray[np.bool_] = (pixels == colour).all(-1)
    return found


def extent(found: NDArray[np.bool_]) -> Extent:
    """The smallest box around what is true."""
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("size", SIZES)
def test_the_outline_is_exactly_the_box(size: tuple[int, int]) -> None:
    width, height = size
    box = (width // 4, height // 4, width // 2, height - height // 8)
    pixels = drawn(size, Tagged(box, "", 3))
    below = of(pixels, PALETTE[3])
    below[: height // 4] = False  # the empty tag's ground
    assert extent(below) == box
    x, y = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
    assert tuple(pixels[y, x]) == GREY


@pytest.mark.parametrize("size", SIZES)
def test_a_tag_stands_on_its_box_and_whole_inside_the_picture(size: tuple[int, int]) -> None:
    width, height = size
    middle = (width // 4, height // 2, width // 2, height - height // 4)
    pixels = drawn(size, Tagged(middle, "dog 0.93", 1))
    left, top, right, bottom = extent(of(pixels[: middle[1]], PALETTE[1]))
    assert (left, bottom) == middle[:2]
    tag = pixels[top:bottom, left:right]
    tall, wide, _ = tag.shape
    assert 2 * (tag != PALETTE[1]).any(-1).sum() > tall  # letters
    for x, y in itertools.product((0, width // 3, width - 5), (0, tall, height - 5)):
        pixels = drawn(size, Tagged((x, y, x + 5, y + 5), "dog 0.93", 1))
        column, row = min(x, width - wide), y - tall if y >= tall else y
        assert (pixels[row : row + tall, column : column + wide] == tag).all()


def test_lines_and_letters_grow_with_the_picture() -> None:
    def measured(side: int) -> tuple[int, int]:
        box = (side / 4, side / 4, side / 2, side / 2)
        found = of(drawn((side, side), Tagged(box, "", 0)), PALETTE[0])
        line = int(found[side // 3, : side // 3].sum())
        return line, extent(found)[3] - extent(found)[1] - side // 4

    lines, tags = zip(*map(measured, (100, 400, 1600, 4000)), strict=True)
    assert lines[0] == 1
    assert all(small < large for small, large in pairwise(lines))
    assert all(small < large for small, large in pairwise(tags))


def test_letters_shrink_to_fit_and_go_where_they_would_be_none() -> None:
    def letters(width: int) -> int:
        pixels = drawn((width, 400), Tagged((0, 300, width, 390), "traffic light 0.93", 2))
        return int(of(pixels[:290], PALETTE[2]).sum())

    assert letters(120) > letters(70) > 0
    assert letters(30) == 0


def test_a_tag_does_not_hide_a_flat_picture() -> None:
    pixels = drawn((400, 20), Tagged((5, 2, 30, 18), "dog 0.93", 1))
    assert not of(pixels, PALETTE[1])[:, 40:].any()


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (2, 100), (100, 2), (5, 7)])
@pytest.mark.parametrize("text", ["dog 0.93", ""])
def test_the_smallest_picture_shows_its_box(size: tuple[int, int], text: str) -> None:
    box = (0, 0, *size)
    assert of(drawn(size, Tagged(box, text, 4)), PALETTE[4]).any()


@pytest.mark.parametrize(
    "box", [(20.2, 20.2, 20.4, 20.3), (99.6, 99.7, 100, 100), (50, 0, 50.4, 9)]
)
def test_a_box_thinner_than_a_pixel_shows(box: Corners) -> None:
    found = of(drawn((100, 100), Tagged(box, "", 5)), PALETTE[5])
    assert found[min(99, round(box[1])), min(99, round(box[0]))]


def test_the_last_box_is_on_top_and_no_line_crosses_a_tag() -> None:
    under = Tagged((50, 100, 350, 300), "under", 0)
    over = Tagged((60, 20, 360, 320), "over", 3)
    pixels = drawn((400, 400), under, over)
    alone = drawn((400, 400), under)
    tag = of(alone[:100, :], PALETTE[0])
    rows = extent(tag)
    ground = (slice(rows[1], rows[3] - 6), slice(rows[0], rows[2]))
    assert (pixels[ground] == alone[ground]).all()
    crossing = pixels[299, 60:63]  # the upper box's left side over the lower one's bottom
    assert of(crossing[None], PALETTE[3]).any()


def test_an_outline_shows_on_its_own_colour() -> None:
    picture = Image.new("RGB", (640, 480), PALETTE[0])
    draw_boxes(picture, [Tagged((100, 100, 300, 300), "", 0)])
    assert not of(np.asarray(picture), PALETTE[0])[200].all()


def test_neighbouring_classes_differ_and_any_index_has_a_colour() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    box = (10, 10, 60, 60)
    for index in (0, len(PALETTE) - 1, len(PALETTE), 1000):
        assert of(drawn((80, 80), Tagged(box, "", index)), PALETTE[index % len(PALETTE)]).any()


@pytest.mark.parametrize("colour", PALETTE)
def test_letters_contrast_with_their_ground(colour: Colour) -> None:
    def luminance(rgb: Colour) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (channel / 255 for channel in rgb)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(colour), luminance(ink(colour))), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA


@pytest.mark.parametrize(
    "label",
    ["dog", "traffic light, red", "T-shirt/top", "a\nb", "~", "Bartlett\u2019s", "x" * 500, ""],
)
def test_a_label_of_letters_the_font_has_stands_on_its_tag(label: str) -> None:
    assert readable(label, 3) == label


@pytest.mark.parametrize("label", ["é", "犬", "Straße", "a dog 🐕", "собака", "\x00", "\uffff"])
def test_a_label_of_a_letter_the_font_lacks_is_its_index(label: str) -> None:
    assert readable(label, 3) == "#3"
    assert readable(label, 1234) == "#1234"


@pytest.mark.parametrize("text", ["", " ", "a\nb", "Straße 0.5", "猫 0.9", "x" * 500, "\x00"])
def test_any_label_can_be_drawn(text: str) -> None:
    pixels = drawn((640, 480), Tagged((100, 100, 300, 300), text, 0))
    assert of(pixels, PALETTE[0]).any()
