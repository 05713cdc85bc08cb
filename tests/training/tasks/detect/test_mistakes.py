from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from training.data.boxed import Boxed, BoxedSet
from training.tasks.detect.metrics import Detections
from training.tasks.detect.mistakes import Mistakes, describe, find_mistakes

CLASSES = ("cat", "dog")
LEFT, RIGHT = [0, 0, 40, 40], [60, 60, 100, 100]
BESIDE = [0, 20, 40, 60]  # a third of the union with LEFT


def _item(boxes: ArrayLike, labels: ArrayLike, ignored: ArrayLike = False) -> Boxed:
    numbers = np.array(labels, np.int64)
    return Boxed(
        Path("a.png"),
        100,
        100,
        np.array(boxes, np.float32).reshape(-1, 4),
        numbers,
        np.broadcast_to(np.array(ignored, np.bool_), numbers.shape),
    )


def _found(boxes: ArrayLike, scores: ArrayLike, labels: ArrayLike) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores), np.array(labels, np.int64)
    )


def _of_one(item: Boxed, found: Detections, threshold: float = 0.5) -> Mistakes:
    (mistakes,) = find_mistakes([found], BoxedSet(CLASSES, (item,)), threshold)
    return mistakes


def test_what_is_missed_and_what_is_false_are_told_by_position() -> None:
    found = _found([RIGHT, BESIDE, LEFT, LEFT], [0.25, 0.75, 0.5, 0.9], [1, 0, 0, 1])
    mistakes = _of_one(_item([LEFT, RIGHT], [0, 1]), found)
    assert mistakes.missed.tolist() == [1]  # its detection scores too little
    assert mistakes.false_alarms.tolist() == [1, 3]
    assert mistakes.right.tolist() == [2]
    assert mistakes.badness == pytest.approx(1 + 0.75 + 0.9)
    assert _of_one(_item([LEFT, RIGHT], [0, 1]), found, 0.2).missed.tolist() == []


def test_an_ignored_object_is_neither_missed_nor_a_false_alarm() -> None:
    item = _item([LEFT, RIGHT], [0, 0], [False, True])
    assert _of_one(item, _found([LEFT], [0.9], [0])).badness == 0
    within = _of_one(item, _found([LEFT, RIGHT, [60, 60, 80, 80]], [0.9, 0.8, 0.7], [0, 0, 0]))
    assert within.badness == 0
    assert within.right.tolist() == [0, 1, 2]


def test_each_picture_has_its_own_mistakes() -> None:
    truths = BoxedSet(CLASSES, (_item([], []), _item([LEFT, RIGHT], [0, 0]), _item([LEFT], [1])))
    predictions = [
        _found([LEFT], [0.6], [0]),
        _found([RIGHT], [0.9], [0]),
        _found([RIGHT, LEFT], [0.1, 0.8], [0, 1]),
    ]
    first, second, third = find_mistakes(predictions, truths)
    assert (first.missed.tolist(), first.false_alarms.tolist()) == ([], [0])
    assert (second.missed.tolist(), second.false_alarms.tolist()) == ([0], [])
    assert (third.missed.tolist(), third.false_alarms.tolist()) == ([], [])
    assert third.right.tolist() == [1]


@pytest.mark.parametrize(
    ("boxes", "labels", "words"),
    [
        ([LEFT, RIGHT], [0, 1], ()),
        ([], [], ("missed cat", "missed dog")),
        ([LEFT, RIGHT, LEFT], [0, 1, 0], ("cat twice",)),
        ([LEFT, LEFT, RIGHT], [1, 0, 1], ("dog for cat",)),
        ([BESIDE, RIGHT], [0, 1], ("missed cat", "cat misplaced")),
        ([LEFT, RIGHT, [60, 0, 90, 30]], [0, 1, 0], ("false cat",)),
        ([LEFT, RIGHT, [60, 0, 90, 30], [5, 60, 30, 90]], [0, 1, 0, 0], ("false cat (2x)",)),
    ],
)
def test_mistakes_in_words(
    boxes: list[list[int]], labels: list[int], words: tuple[str, ...]
) -> None:
    item, found = (
        _item([LEFT, RIGHT], [0, 1]),
        _found(boxes, np.linspace(0.9, 0.6, len(boxes)), labels),
    )
    assert describe(_of_one(item, found), found, item, CLASSES) == words


def test_a_picture_without_objects_can_only_have_false_alarms() -> None:
    item, found = _item([], []), _found([LEFT], [0.9], [1])
    assert describe(_of_one(item, found), found, item, CLASSES) == ("false dog",)
