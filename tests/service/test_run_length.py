"""COCO's run-length encoding, held against the library that evaluates with it."""

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from service.run_length import compressed, run_lengths
from service.runs import runs

MASKS = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 2)
)


def encoded(mask: NDArray[np.uint8], value: int) -> str:
    return compressed(run_lengths(runs(mask, [value])[value]))


@settings(deadline=None)
@given(MASKS)
def test_a_mask_comes_back_and_is_written_as_coco_writes_it(mask: NDArray[np.uint8]) -> None:
    for value in np.unique(mask).tolist():
        counts = encoded(mask, value)
        assert (coco.decode({"size": [*mask.shape], "counts": counts}) == (mask == value)).all()
        theirs = coco.encode(np.asfortranarray(mask == value, np.uint8))["counts"]
        assert counts == (theirs if isinstance(theirs, str) else theirs.decode())


@pytest.mark.parametrize("shape", [(3000, 1), (1, 3000), (2000, 1500)])
def test_long_runs_and_great_differences_are_written_too(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, np.uint8)
    mask.flat[[0, mask.size // 2, -1]] = 1
    for value in (0, 1):
        counts = encoded(mask, value)
        assert (coco.decode({"size": [*shape], "counts": counts}) == (mask == value)).all()


def test_the_known_strings_of_small_masks() -> None:
    whole = np.ones((2, 3), np.uint8)
    assert run_lengths(runs(whole, [1])[1]).tolist() == [0, 6]
    assert encoded(whole, 1) == "06"
    mask = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
    assert run_lengths(runs(mask, [1])[1]).tolist() == [2, 3, 1]
    assert encoded(mask, 1) == "231"
    assert run_lengths(runs(mask, [0])[0]).tolist() == [0, 2, 3, 1]
