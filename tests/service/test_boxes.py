"""Overlap of boxes, and greedy suppression held against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.boxes import iou, suppress

SQUARE = [0.0, 0.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("box", "other", "overlap"),
    [
        (SQUARE, SQUARE, 1.0),
        (SQUARE, [10, 0, 20, 10], 0.0),
        (SQUARE, [20, 20, 30, 30], 0.0),
        (SQUARE, [5, 0, 15, 10], 50 / 150),
        (SQUARE, [2, 2, 4, 4], 4 / 100),
        (SQUARE, [-5, -5, 5, 5], 25 / 175),
        (SQUARE, [3, 3, 3, 9], 0.0),
        ([3, 3, 3, 3], [3, 3, 3, 3], 0.0),
    ],
)
def test_two_boxes_overlap_by_their_shared_part(
    box: list[float], other: list[float], overlap: float
) -> None:
    first, second = np.array([box], np.float32), np.array([other], np.float32)
    assert iou(first, second).tolist() == [[pytest.approx(overlap)]]
    assert iou(second, first).tolist() == [[pytest.approx(overlap)]]


def test_every_box_is_held_against_every_other() -> None:
    boxes = np.array([SQUARE, [5, 0, 15, 10]])
    others = np.array([[0, 0, 5, 10], SQUARE, [100, 100, 101, 101]])
    assert iou(boxes, others).shape == (2, 3)
    assert iou(boxes, others)[0].tolist() == [0.5, 1.0, 0.0]
    assert iou(boxes[:0], others).shape == (0, 3)
    assert iou(boxes, others[:0]).shape == (2, 0)


def test_a_box_that_was_suppressed_suppresses_none() -> None:
    chain = np.array(
        [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], float
    )  # IoU 0.43, 0.43, 0.11
    same = np.zeros(3, int)
    assert suppress(chain, same, 0.3).tolist() == [0, 2]
    assert suppress(chain, same, 0.1).tolist() == [0]
    assert suppress(chain, same, 0.5).tolist() == [0, 1, 2]


def test_an_overlap_of_just_the_threshold_is_allowed() -> None:
    halves = np.array([[0, 0, 2, 1], [0, 0, 1, 1]], float)
    assert suppress(halves, np.zeros(2, int), 0.5).tolist() == [0, 1]
    assert suppress(halves, np.zeros(2, int), 0.49).tolist() == [0]


def test_other_labels_are_let_be_and_none_is_none() -> None:
    boxes = np.array([SQUARE, SQUARE, SQUARE])
    assert suppress(boxes, np.array([0, 1, 0]), 0.5).tolist() == [0, 1]
    assert suppress(boxes, np.array([0, 0, 0]), 1.0).tolist() == [0, 1, 2]
    assert suppress(boxes[:0], np.zeros(0, int), 0.5).tolist() == []


def _one_by_one(
    boxes: NDArray[np.float64], labels: NDArray[np.int64], threshold: float
) -> list[int]:
    stays: list[int] = []
    for index in range(len(boxes)):
        rivals = [i for i in stays if labels[i] == labels[index]]
        if all(iou(boxes[[i]], boxes[[index]])[0, 0] <= threshold for i in rivals):
            stays.append(index)
    return stays


@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.sampled_from([0.0, 0.2, 0.5, 0.8]))
@settings(deadline=None, max_examples=50)
def test_suppression_is_that_of_the_plain_loop(seed: int, count: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    corners = random.integers(0, 20, (count, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 15, (count, 2))], 1).astype(float)
    labels = random.integers(0, 2, count)
    assert suppress(boxes, labels, threshold).tolist() == _one_by_one(boxes, labels, threshold)
