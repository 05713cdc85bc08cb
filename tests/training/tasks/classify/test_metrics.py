from collections.abc import Sequence
from typing import Any

import numpy as np

from service.session import Arrays
from training.tasks.classify.metrics import Accuracy, same_top1, top_k_accuracy


class Fixed:
    """Answers the logits it was given, in turn."""

    def __init__(self, logits: Any) -> None:
        self.logits = iter(np.array(logits, np.float32))

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:  # noqa: ARG002
        return [{"logits": next(self.logits)} for _ in items]


def test_top_k() -> None:
    logits = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]])
    targets = np.array([0, 1, 2])
    assert [round(top_k_accuracy(logits, targets, k), 2) for k in (1, 2, 9)] == [0.33, 0.67, 1]


def test_later_variants_are_held_against_the_first() -> None:
    items = [{"images": np.zeros(1)}] * 2
    accuracy = Accuracy(items, np.array([0, 1]), "noise", "all")
    first = accuracy({"main": Fixed([[1, 0], [0, 1]])})
    second = accuracy({"main": Fixed([[1, 0], [1, 0]])})
    assert {score.name: score.value for score in first} == {
        "top1": 1,
        "top5": 1,
        "agreement_with_fp32": 1,
    }
    assert {score.name: score.value for score in second}["top1"] == 0.5
    assert {score.name: score.value for score in second}["agreement_with_fp32"] == 0.5
    assert all(score.samples == 2 and score.dataset == "noise" for score in first)


def test_same_top1() -> None:
    assert same_top1({"logits": np.array([1, 2])}, {"logits": np.array([1, 9])})
    assert not same_top1({"logits": np.array([1, 2])}, {"logits": np.array([2, 1])})
