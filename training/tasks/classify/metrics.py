"""How good a classifier is, measured through the service's session."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.session import Arrays, Session
from training.exportable import Score


class Accuracy:
    """Top-1, top-5 and, for what follows the first variant measured, how often top-1 agrees."""

    def __init__(
        self, items: Sequence[Arrays], targets: NDArray[np.int64], dataset: str, split: str
    ) -> None:
        """Measure on ``items``, whose right answers are ``targets: int64[len(items)]``."""
        self._items = items
        self._targets = targets
        self._dataset = dataset
        self._split = split
        self._first: NDArray[np.int64] | None = None

    def __call__(self, sessions: Mapping[str, Session]) -> Sequence[Score]:
        """Run every item through the ``main`` graph."""
        session = sessions["main"]
        logits = np.stack([session.run([item], lone=True)[0]["logits"] for item in self._items])
        best = np.argmax(logits, axis=1)
        figures = {
            "top1": float(np.mean(best == self._targets)),
            "top5": top_k_accuracy(logits, self._targets, 5),
        }
        if self._first is None:
            self._first = best
        agreement = float(np.mean(best == self._first))
        return [
            *(self._score(name, value) for name, value in figures.items()),
            self._score("agreement_with_fp32", agreement, ranks=False),
        ]

    def _score(self, name: str, value: float, *, ranks: bool = True) -> Score:
        count = len(self._items)
        return Score(name, round(value, 6), self._dataset, self._split, count, ranks)


def top_k_accuracy(logits: NDArray[np.floating], targets: NDArray[np.int64], k: int) -> float:
    """The share of rows of ``logits[N, C]`` whose target ``int64[N]`` is among the ``k`` best."""
    k = min(k, logits.shape[1])
    best = np.argpartition(logits, -k, axis=1)[:, -k:]
    return float(np.mean((best == targets[:, np.newaxis]).any(axis=1)))


def same_top1(expected: Arrays, actual: Arrays) -> bool:
    """Whether two outputs name the same label."""
    return bool(np.argmax(expected["logits"]) == np.argmax(actual["logits"]))
