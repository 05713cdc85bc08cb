"""What drawn captions are worth, against pycocoevalcap's CIDEr-D."""

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer

from training.data.vocabulary import END
from training.tasks.caption.reward import Consensus

Numbers = list[int]


def drawn(pictures: int, count: int, seed: int) -> list[list[Numbers]]:
    """Captions of 3 to 12 words of a small vocabulary, the end included."""
    random = np.random.default_rng(seed)
    return [
        [[*random.integers(2, 9, random.integers(3, 13)).tolist(), END] for _ in range(count)]
        for _ in range(pictures)
    ]


def written(numbers: Numbers) -> str:
    return " ".join(f"w{number}" for number in numbers)


def test_it_is_that_of_pycocoevalcap() -> None:
    truth, captions = drawn(7, 5, seed=0), drawn(7, 1, seed=1)
    captions[3] = [truth[3][2][:-1]]  # what is said, but broken off
    captions[4] = [truth[4][1]]
    captions[5] = [[40, 41, 42, 43, END]]  # of words that nobody used
    scorer = CiderScorer(n=4, sigma=6.0)
    for true, (found,) in zip(truth, captions, strict=True):
        scorer += (written(found), [written(each) for each in true])
    mean, expected = scorer.compute_score()
    worth = Consensus(truth)(range(7), captions)
    assert worth.shape == (7, 1)
    assert worth[:, 0] == pytest.approx(expected, abs=1e-9)
    assert worth.mean() == pytest.approx(mean)
    assert worth[4, 0] > 1


def test_pictures_and_captions_keep_their_places() -> None:
    truth, captions = drawn(6, 3, seed=2), drawn(2, 4, seed=3)
    consensus = Consensus(truth)
    whole = consensus([5, 1], captions)
    assert whole.shape == (2, 4)
    for row, picture in enumerate((5, 1)):
        for place in range(4):
            alone = consensus([picture], [[captions[row][place]]])
            assert float(alone[0, 0]) == whole[row, place]
    assert not np.allclose(whole, consensus([1, 5], captions))


def test_what_everybody_says_is_worth_most_and_to_break_off_does_not_pay() -> None:
    truth = [[[2, 3, 4, 5, 6, END]] * 5, [[7, 8, 9, 2, END]] * 5, [[3, 8, END]] * 5]
    consensus = Consensus(truth)
    said = [2, 3, 4, 5, 6, END]
    [[whole, without_end, cut, other, nothing]] = consensus(
        [0], [[said, said[:-1], [2, 3, 4, END], [7, 8, 9, 2, END], [END]]]
    )
    assert whole == pytest.approx(10)
    assert whole > without_end > 0
    assert without_end > cut > other >= 0
    assert nothing == pytest.approx(0, abs=0.01)  # the end is there in all


def test_words_that_are_said_of_many_pictures_are_worth_less() -> None:
    truth = [[[2, 3, END]], [[2, 4, END]], [[2, 5, END]], [[6, 7, END]]]
    [[common, rare]] = Consensus(truth)([0], [[[2, 9, END], [9, 3, END]]])
    assert 0 < common < rare


def test_of_one_picture_there_is_a_worth_too() -> None:
    worth = Consensus([[[2, 3, 4, 5, END]]])([0], [[[2, 3, 4, 5, END], [6, END]]])
    assert np.isfinite(worth).all()
    assert worth[0, 0] > worth[0, 1]
