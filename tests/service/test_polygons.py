"""Outlines of a class: filled by any rule they are its pixels, whatever holes it has."""

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from skimage.measure import label

from service.polygons import polygons
from service.runs import runs

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans())


def outlined(mask: NDArray[np.bool_]) -> list[list[int]]:
    return polygons(runs(mask.astype(np.uint8), [1])[1]) if mask.any() else []


def windings(polygon: list[int], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """How often a polygon goes round each pixel, clockwise."""
    points = np.array(polygon).reshape(-1, 2)
    around = np.zeros(shape, np.int64)
    for (x, y), (next_x, next_y) in zip(points, np.roll(points, -1, 0), strict=True):
        assert (x == next_x) != (y == next_y)  # along pixels, and never on the spot
        if x == next_x:
            around[min(y, next_y) : max(y, next_y), x:] += 1 if next_y < y else -1
    return around


def area(polygon: list[int]) -> float:
    """By the shoelace formula."""
    x, y = np.array(polygon, float).reshape(-1, 2).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@settings(deadline=None, max_examples=300)
@given(MASKS)
def test_polygons_are_the_pixels(mask: NDArray[np.bool_]) -> None:
    found = outlined(mask)
    around = np.array([windings(polygon, mask.shape) for polygon in found]).reshape(-1, *mask.shape)
    assert np.isin(around, (0, 1)).all()  # so even-odd and non-zero fill alike
    assert (around.sum(0) == mask).all()
    assert sum(map(area, found)) == mask.sum()
    parts = label(mask, connectivity=1)  # type: ignore[no-untyped-call]
    assert len(found) == parts.max(initial=0)


@settings(deadline=None)
@given(MASKS)
def test_coco_fills_them_to_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    if mask.any():
        filled = coco.decode(coco.merge(coco.frPyObjects(outlined(mask), *mask.shape)))
        assert (filled == mask).all()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["#"], [[0, 0, 1, 0, 1, 1, 0, 1]]),
        (["##", "##"], [[0, 0, 2, 0, 2, 2, 0, 2]]),
        (["##", ".#"], [[0, 0, 2, 0, 2, 2, 1, 2, 1, 1, 0, 1]]),
        (["#.", ".#"], [[0, 0, 1, 0, 1, 1, 0, 1], [1, 1, 2, 1, 2, 2, 1, 2]]),
        (
            ["###", "#.#", "###"],
            [[0, 0, 1, 0, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 0, 3, 0, 3, 3, 0, 3]],
        ),
    ],
)
def test_known_shapes_have_the_fewest_corners(rows: list[str], expected: list[list[int]]) -> None:
    assert outlined(np.array([list(row) for row in rows]) == "#") == expected


def test_holes_in_a_row_are_cut_from_one_edge() -> None:
    mask = np.ones((5, 40), np.bool_)
    mask[2, 1:39:2] = False
    (polygon,) = outlined(mask)
    assert area(polygon) == mask.sum() == 200 - 19
    assert len(polygon) // 2 == 4 + 19 * 7
