"""Runs down the columns: all pixels of a class, and no others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.runs import Runs, runs


def painted(found: Runs) -> NDArray[np.int64]:
    """How often each pixel is in a run."""
    canvas = np.zeros((found.height, found.width), np.int64)
    for column, top, bottom in zip(found.columns, found.tops, found.bottoms, strict=True):
        canvas[top:bottom, column] += 1
    return canvas


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (40, 129)])
def test_runs_cover_the_pixels_of_their_class_once(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).choice([0, 3, 254], shape, p=[0.2, 0.7, 0.1]).astype(np.uint8)
    found = runs(mask, np.unique(mask).tolist())
    assert found.keys() == set(np.unique(mask).tolist())
    for value, of_class in found.items():
        assert (painted(of_class) == (mask == value)).all()
        order = of_class.columns.astype(np.int64) * shape[0] + of_class.tops
        assert (np.diff(order) > 0).all()
        rows, columns = np.nonzero(mask == value)
        assert of_class.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_only_the_classes_asked_for_are_read() -> None:
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    found = runs(mask, [1, 7])
    assert painted(found[1]).tolist() == [[0, 1], [0, 1]]
    assert not painted(found[7]).any()
    assert found.keys() == {1, 7}
    assert runs(mask, []) == {}
