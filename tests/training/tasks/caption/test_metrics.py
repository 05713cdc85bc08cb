"""Figures of captions, against hand computations and pycocoevalcap."""

import math

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu

from training.tasks.caption.metrics import Quality, measure

_WORDS = ("dog", "cat", "runs", "sleeps", "a", "the", "on", "grass")


def quality(captions: list[str], *references: list[str], resamples: int = 0) -> Quality:
    return measure(
        [caption.split() for caption in captions],
        [[each.split() for each in every] for every in references],
        resamples,
    )


def drawn(pictures: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Captions of words drawn by chance, and three references of each picture."""
    random = np.random.default_rng(seed)

    def caption() -> str:
        return " ".join(random.choice(_WORDS, random.integers(4, 11)))

    captions = [caption() for _ in range(pictures)]
    return captions, [[caption() for _ in range(3)] for _ in range(pictures)]


def test_what_people_say_is_perfect() -> None:
    captions = ["a dog runs on grass", "the cat sleeps on a mat"]
    found = quality(captions, *([caption, "another one"] for caption in captions))
    assert found.bleu == pytest.approx((100, 100, 100, 100))
    assert found.rouge_l == pytest.approx(100)
    assert (found.pictures, found.distinct, found.vocabulary, found.length) == (2, 2, 9, 5.5)


@pytest.mark.parametrize(
    ("other", "brevity"),
    [
        ("cat", math.exp(1 - 6 / 4)),  # lengths of 6 and 1: the former is closer to 4
        ("cat a", 1),  # of 6 and 2, as close: the shorter is taken
    ],
)
def test_bleu_is_that_of_hand(other: str, brevity: float) -> None:
    found = quality(["the the the cat"], ["the cat sat on the mat", other])
    one, two = 3 / 4, 1 / 3  # "the" is right twice
    assert found.bleu[0] == pytest.approx(100 * brevity * one)
    assert found.bleu[1] == pytest.approx(100 * brevity * math.sqrt(one * two))
    assert found.bleu[2] < 0.001


def test_rouge_is_that_of_hand() -> None:
    found = quality(["a dog runs", "x"], ["a big dog", "runs"], ["y"])
    precision, recall = 2 / 3, 1.0  # the best of any reference
    beta = 1.2**2
    first = (1 + beta) * precision * recall / (recall + beta * precision)
    assert found.rouge_l == pytest.approx(100 * first / 2)


def test_cider_counts_rare_words_for_more() -> None:
    references = [["a dog runs"], ["a cat sleeps"], ["a bird sings"], ["a man walks"]]
    truth = [each[0] for each in references]
    perfect = quality(truth, *references)
    # Captions of three words have no n-grams of four: three of four similarities are one.
    assert perfect.cider == pytest.approx(7.5)
    assert perfect.each_cider.tolist() == pytest.approx([7.5] * 4)
    common, rare = (quality([one, *truth[1:]], *references) for one in ("a a a", "dog runs x"))
    assert common.each_cider.tolist() == pytest.approx([0, 7.5, 7.5, 7.5])
    assert 0 < rare.each_cider[0] < 7.5
    assert rare.cider == pytest.approx(rare.each_cider.mean())


def test_bleu_is_pycocoevalcaps_which_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    captions, references = drawn(50)
    found = quality(captions, *references)
    assert capsys.readouterr() == ("", "")
    expected, _ = Bleu(4).compute_score(
        dict(enumerate(references)), {at: [each] for at, each in enumerate(captions)}, verbose=0
    )
    assert np.array(found.bleu) == pytest.approx(100 * np.array(expected))
    assert found.bleu[3] > 1


def test_the_interval_is_that_of_bleu_of_all_captions_of_a_draw() -> None:
    captions, references = drawn(40)
    found = quality(captions, *references, resamples=400)
    low, high = found.bleu4_interval
    assert low < found.bleu[3] < high
    assert quality(captions, *references, resamples=400).bleu4_interval == (low, high)
    random = np.random.default_rng(9)
    values = []
    for _ in range(300):
        chosen = random.integers(40, size=40).tolist()
        again, _ = Bleu(4).compute_score(
            {place: references[at] for place, at in enumerate(chosen)},
            {place: [captions[at]] for place, at in enumerate(chosen)},
            verbose=0,
        )
        values.append(100 * again[3])
    assert np.quantile(values, (0.025, 0.975)) == pytest.approx((low, high), rel=0.15)
    alike = quality(["a dog runs here"] * 9, *([["a dog runs there"]] * 9), resamples=20)
    assert alike.bleu4_interval == pytest.approx((alike.bleu[3],) * 2)
    assert all(math.isnan(each) for each in quality(captions, *references).bleu4_interval)


def test_empty_captions_and_those_that_share_nothing_are_worth_nothing() -> None:
    for caption in ("", "x y z w v"):
        found = quality([caption, caption], ["a dog runs"], ["a cat"], resamples=10)
        assert found.bleu == pytest.approx((0, 0, 0, 0), abs=1e-6)
        assert (found.cider, found.rouge_l) == (0, 0)
        assert found.bleu4_interval == pytest.approx((0, 0), abs=1e-6)
        assert (found.distinct, found.vocabulary) == (1, len(caption.split()))
    assert quality(["a dog", "a"], ["a"], ["a"]).length == 1.5


@pytest.mark.parametrize(
    ("captions", "references", "message"),
    [
        ([], [], "there are 0 captions of 0 pictures"),
        ([["a"]], [[["a"]], [["b"]]], "there are 1 captions of 2 pictures"),
        ([["a"]], [[]], "every picture must have a true caption"),
        ([["a"]], [[["a"], []]], "every picture must have a true caption, and every one words"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    captions: list[list[str]], references: list[list[list[str]]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure(captions, references)
