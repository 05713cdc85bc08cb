"""Runs before requests come."""

import logging
from collections.abc import Sequence

import numpy as np
import pytest

from service.errors import InferenceError
from service.session import Arrays
from service.warming import batch_sizes, warm


class Recording:
    """Notes the pixels of every batch; fails at more than ``most`` items."""

    def __init__(self, most: int = 100) -> None:
        self.most, self.batches = most, list[list[int]]()

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        assert lone == (len(items) == 1)
        self.batches.append([int(item["images"][0]) for item in items])
        if len(items) > self.most:
            raise InferenceError("too much")
        return []


GOLDEN = {
    "main.input.images": np.array([[1], [2]], np.uint8),
    "encode.input.images": np.array([[7]], np.uint8),
}


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])],
)
def test_the_sizes_double_and_end_with_the_largest(most: int, sizes: list[int]) -> None:
    assert list(batch_sizes(most)) == sizes


def test_every_role_runs_its_golden_inputs_in_every_size() -> None:
    main, encode = Recording(), Recording()
    warm({"main": main, "encode": encode}, GOLDEN, 3)
    assert main.batches == [[1], [1, 2], [1, 2, 1]]
    assert encode.batches == [[7], [7, 7], [7, 7, 7]]


def test_a_batch_that_is_too_large_is_told_and_no_larger_one_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = Recording(most=2)
    with caplog.at_level(logging.WARNING):
        warm({"main": session}, GOLDEN, 16)
    assert [len(batch) for batch in session.batches] == [1, 2, 4]
    assert "main cannot run 4 items at once" in caplog.text
