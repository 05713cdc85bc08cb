"""What a drawn caption is worth while it is learned by trial: its consensus with people's.

CIDEr-D (Vedantam et al., 2015, https://arxiv.org/abs/1411.5726) as pycocoevalcap has it, on numbers
in place of words, for which what is known of the true captions is computed once. The end of a
caption is a word here; otherwise captions that break off would pay.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ORDERS, _SIGMA, _SCALE = 4, 6.0, 10.0

Gram = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Weighted:
    """A caption's n-grams by frequency and rarity, of each order, and how long they are."""

    weights: tuple[dict[Gram, float], ...]
    norms: tuple[float, ...]
    length: int


class Consensus:
    """Tells what captions of known pictures are worth."""

    def __init__(self, truth: Sequence[Sequence[Sequence[int]]]) -> None:
        """Learn how rare every n-gram is.

        Args:
            truth: numbers of the words, and the end, of each picture's true captions.
        """
        documents: Counter[Gram] = Counter()
        for captions in truth:
            documents.update({gram for words in captions for gram in _grams(words)})
        total = math.log(max(len(truth), 2))
        self._rarity = {gram: total - math.log(count) for gram, count in documents.items()}
        self._unseen = total
        self._truth = [[self._weighed(words) for words in captions] for captions in truth]

    def __call__(
        self, pictures: Sequence[int], captions: Sequence[Sequence[Sequence[int]]]
    ) -> NDArray[np.float64]:
        """The CIDEr-D of captions, ``float64[pictures, captions]``, 0 to 10.

        Args:
            pictures: their positions among those known.
            captions: numbers of the words, and the end, of as many of each.
        """
        return np.array(
            [
                [self._worth(self._weighed(words), self._truth[picture]) for words in of_one]
                for picture, of_one in zip(pictures, captions, strict=True)
            ]
        )

    def _weighed(self, words: Sequence[int]) -> _Weighted:
        weights: tuple[dict[Gram, float], ...] = tuple({} for _ in range(_ORDERS))
        for gram, count in Counter(_grams(words)).items():
            weights[len(gram) - 1][gram] = count * self._rarity.get(gram, self._unseen)
        norms = tuple(math.sqrt(sum(w * w for w in of.values())) for of in weights)
        return _Weighted(weights, norms, len(words))

    def _worth(self, found: _Weighted, truth: Sequence[_Weighted]) -> float:
        likeness = 0.0
        for true in truth:
            nearness = math.exp(-((found.length - true.length) ** 2) / (2 * _SIGMA**2))
            for order in range(_ORDERS):
                norm = found.norms[order] * true.norms[order]
                if norm:
                    of_true = true.weights[order]
                    shared = sum(
                        min(weight, of_true[gram]) * of_true[gram]
                        for gram, weight in found.weights[order].items()
                        if gram in of_true
                    )
                    likeness += nearness * shared / norm
        return _SCALE * likeness / (_ORDERS * len(truth))


def _grams(words: Sequence[int]) -> list[Gram]:
    return [
        tuple(words[start : start + order])
        for order in range(1, _ORDERS + 1)
        for start in range(len(words) - order + 1)
    ]
