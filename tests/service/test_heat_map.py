"""A grid of weights laid over the picture that it was made of."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.contract import InputGeometry
from service.heat_map import LONGEST_SIDE, heat_map, png
from service.resize import place

SIDE = 64


def placed(width: int, height: int, **rule: Any) -> np.ndarray:
    """The map of a grid of noise over a picture of this size."""
    geometry = InputGeometry.model_validate({"height": SIDE, "width": SIDE, **rule})
    placement, _ = place(width, height, geometry)
    weights = np.random.default_rng(0).uniform(0.1, 1, (8, 8))
    return heat_map(weights, placement, (SIDE, SIDE))


def shown(
    cell: tuple[int, int], width: int, height: int, grid: tuple[int, int] = (8, 8), **rule: Any
) -> np.ndarray:
    """The map of a grid with a single cell looked at."""
    geometry = InputGeometry.model_validate({"height": SIDE, "width": SIDE, **rule})
    placement, _ = place(width, height, geometry)
    weights = np.zeros(grid, np.float32)
    weights[cell] = 1
    return heat_map(weights, placement, (SIDE, SIDE))


def centre(grey: np.ndarray) -> tuple[float, float]:
    """The centre of the pixels at half the highest weight or more, as shares of the sides."""
    rows, columns = np.nonzero(grey >= 128)
    return (rows.mean() + 0.5) / grey.shape[0], (columns.mean() + 0.5) / grey.shape[1]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (256, 256)),
        ((1280, 720), (256, 144)),
        ((720, 1280), (144, 256)),
        ((5000, 100), (256, 5)),
        ((257, 256), (256, 255)),
        ((256, 30), (256, 30)),
        ((20, 10), (20, 10)),
        ((1, 50), (1, 50)),
        ((1, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize(
    "rule",
    [
        {"resize": "squash"},
        {"resize": "letterbox"},
        {"resize": "shortest_side", "crop": 0.875},
        {"resize": "shortest_side", "crop": 0.01},
    ],
    ids=str,
)
def test_a_map_has_the_picture_s_shape_and_its_highest_weight_is_255(
    size: tuple[int, int], expected: tuple[int, int], rule: dict[str, Any]
) -> None:
    grey = placed(*size, **rule)
    assert grey.dtype == np.uint8
    assert grey.shape == expected[::-1]
    assert grey.max() == 255


@pytest.mark.parametrize("cell", [(2, 5), (5, 2), (0, 7), (7, 0)])
def test_squashed_a_cell_lies_at_its_share_of_the_sides(cell: tuple[int, int]) -> None:
    grey = shown(cell, 1024, 512, resize="squash")
    row, column = centre(grey)
    assert (row, column) == pytest.approx(((cell[0] + 0.5) / 8, (cell[1] + 0.5) / 8), abs=0.02)
    away = grey.copy()
    height, width = grey.shape[0] // 8, grey.shape[1] // 8
    away[
        max(0, (cell[0] - 2) * height) : (cell[0] + 3) * height,
        max(0, (cell[1] - 2) * width) : (cell[1] + 3) * width,
    ] = 0
    assert not away.any()


@pytest.mark.parametrize(
    ("size", "cell", "at"),
    [
        # 64x32 of the input, in rows 16 to 48: cells of rows 2 to 5
        ((1024, 512), (2, 0), (1 / 8, 1 / 16)),
        ((1024, 512), (5, 7), (7 / 8, 15 / 16)),
        ((512, 1024), (7, 3), (15 / 16, 3 / 8)),
    ],
)
def test_the_padding_is_cut_off(
    size: tuple[int, int], cell: tuple[int, int], at: tuple[float, float]
) -> None:
    assert centre(shown(cell, *size, resize="letterbox")) == pytest.approx(at, abs=0.04)


def test_a_cell_in_the_padding_is_not_seen() -> None:
    assert not shown((0, 3), 1024, 512, resize="letterbox").any()
    weights = np.zeros((8, 8), np.float32)
    weights[0], weights[4, 4] = 1, 0.01  # what is seen is as bright as it can be
    geometry = InputGeometry(height=SIDE, width=SIDE, resize="letterbox")
    grey = heat_map(weights, place(1024, 512, geometry)[0], (SIDE, SIDE))
    assert grey.max() == 255
    assert centre(grey) == pytest.approx((5 / 8, 9 / 16), abs=0.04)


@pytest.mark.parametrize("crop", [1.0, 0.5])
def test_what_was_cropped_away_is_dark(crop: float) -> None:
    geometry = InputGeometry(height=SIDE, width=SIDE, resize="shortest_side", crop=crop)
    placement, _ = place(1024, 512, geometry)
    grey = heat_map(np.ones((8, 8), np.float32), placement, (SIDE, SIDE))
    half = round(64 * crop)  # of the window's side
    lit = np.zeros((128, 256), np.bool_)
    lit[64 - half : 64 + half, 128 - half : 128 + half] = True
    assert (grey == np.where(lit, 255, 0)).all()


def test_a_cell_of_a_cropped_picture_lies_in_its_window() -> None:
    grey = shown((1, 6), 1024, 512, resize="shortest_side", crop=0.5)
    row, column = (1 + 0.5) / 8, (6 + 0.5) / 8  # of the window, a quarter from above and 3/8 in
    assert centre(grey) == pytest.approx((0.25 + row / 2, 0.375 + column / 4), abs=0.02)


def test_a_grid_need_not_be_square() -> None:
    grey = shown((1, 0), 512, 512, grid=(2, 16), resize="squash")
    assert centre(grey) == pytest.approx((0.8, 1 / 32), abs=0.06)


@pytest.mark.parametrize("grid", [(8, 8), (1, 1), (300, 300)])
def test_equal_weights_are_equally_bright_and_none_are_dark(grid: tuple[int, int]) -> None:
    geometry = InputGeometry(height=SIDE, width=SIDE, resize="letterbox")
    placement, _ = place(300, 200, geometry)
    assert (heat_map(np.full(grid, 1e-4), placement, (SIDE, SIDE)) == 255).all()
    assert not heat_map(np.zeros(grid), placement, (SIDE, SIDE)).any()


@given(
    width=st.integers(1, 5000),
    ratio=st.floats(1 / 50, 50),
    resize=st.sampled_from(["squash", "letterbox", "shortest_side"]),
    crop=st.floats(1e-3, 1),
    sides=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    grid=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_any_picture_has_its_map(
    width: int,
    ratio: float,
    resize: str,
    crop: float,
    sides: tuple[int, int],
    grid: tuple[int, int],
) -> None:
    height = max(1, round(width / ratio))
    rule = {"resize": resize, "crop": crop if resize == "shortest_side" else 1.0}
    geometry = InputGeometry.model_validate({"height": sides[0], "width": sides[1], **rule})
    placement, _ = place(width, height, geometry)
    grey = heat_map(np.full(grid, 0.25, np.float32), placement, sides)
    assert max(grey.shape) == min(LONGEST_SIDE, max(width, height))
    assert set(np.unique(grey)) <= {0, 255}
    # What the input covers, and no more of the picture's pixels than it touches.
    seen = [
        min(1.0, side / scale / length)
        for side, scale, length in zip(sides, placement.scale[::-1], (height, width), strict=True)
    ]
    rows, columns = (np.count_nonzero(grey.any(axis)) for axis in (1, 0))
    for found, share, length in zip((rows, columns), seen, grey.shape, strict=True):
        assert share * length - 1e-6 <= found < share * length + 2


def test_weights_that_are_nearly_nothing_still_have_a_brightest_place() -> None:
    weights = np.zeros((2, 2), np.float32)
    weights[0, 0] = 1e-38
    placement, _ = place(64, 64, InputGeometry(height=64, width=64, resize="squash"))
    grey = heat_map(weights, placement, (64, 64))
    assert grey.max() == 255
    assert grey[0, 0] == 255


def test_a_map_is_written_as_grey_png() -> None:
    grey = placed(1280, 720, resize="squash")
    with Image.open(io.BytesIO(png(grey))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        assert picture.size == (LONGEST_SIDE, 144)
        assert (np.asarray(picture) == grey).all()
