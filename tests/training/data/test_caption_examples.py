"""Captions in numbers, drawn and put into batches, with pictures or features of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from service.contract import InputGeometry
from tests.training.caption_sets import write_pictures
from training.data.caption_examples import (
    NOTHING,
    Batch,
    CachedFeatures,
    CaptionExamples,
    Example,
    PictureViews,
    collate,
)
from training.data.captioned import Captioned, CaptionedSet
from training.data.pictures import prepare
from training.data.vocabulary import END, UNKNOWN, Vocabulary

GEOMETRY = InputGeometry(height=32, width=48, resize="squash")
VOCABULARY = Vocabulary(("<end>", "<unk>", "a", "dog", "runs", "fast", "here"))
A, DOG, RUNS, FAST, HERE = range(2, 7)
FEATURES = np.arange(4 * 3 * 2, dtype=np.float16).reshape(4, 3, 2, 1)
"""Of four pictures, three views of each."""


def examples_of(
    *captions: tuple[str, ...], longest: int = 9, count: int = 2, seed: int = 0
) -> CaptionExamples:
    items = tuple(Captioned(Path(f"{at}.png"), each) for at, each in enumerate(captions))
    return CaptionExamples(
        CaptionedSet(items),
        CachedFeatures(FEATURES),
        VOCABULARY,
        GEOMETRY,
        longest=longest,
        captions=count,
        seed=seed,
    )


def test_words_become_numbers_and_the_end_is_the_last() -> None:
    examples = examples_of(("A dog runs .", "The DOG"), ("Runs fast",))
    assert examples.numbers == [
        [[A, DOG, RUNS, END], [UNKNOWN, DOG, END]],
        [[RUNS, FAST, END]],
    ]
    assert len(examples) == 2


@pytest.mark.parametrize(
    ("longest", "expected"),
    [(4, [A, DOG, RUNS, FAST, END]), (3, [A, DOG, RUNS]), (1, [A])],
)
def test_a_caption_that_is_cut_has_no_end(longest: int, expected: list[int]) -> None:
    assert examples_of(("A dog runs fast",), longest=longest).numbers == [[expected]]


def test_where_there_are_more_captions_each_epoch_draws_others_and_none_twice() -> None:
    texts = ("a", "dog", "runs", "fast", "here")
    examples = examples_of(texts, count=3)
    seen = set()
    for epoch in range(30):
        examples.set_epoch(epoch)
        drawn = [caption[0] for caption in examples[0].captions]
        assert len(set(drawn)) == 3
        seen.add(tuple(sorted(drawn)))
        assert [caption[0] for caption in examples[0].captions] == drawn
    assert len(seen) > 6  # of ten
    other = examples_of(texts, count=3, seed=1)
    other.set_epoch(29)
    assert [other[0].captions, other[0].inputs.tolist()] != [
        examples[0].captions,
        examples[0].inputs.tolist(),
    ]


def test_where_there_are_fewer_captions_all_come_as_often_as_can_be() -> None:
    examples = examples_of(("a", "dog", "runs"), ("fast",), count=5)
    drawn = [caption[0] for caption in examples[0].captions]
    assert sorted(drawn.count(word) for word in (A, DOG, RUNS)) == [1, 2, 2]
    assert examples[1].captions == [[FAST, END]] * 5


def test_a_batch_asks_for_the_word_after_each() -> None:
    batch = collate(
        [
            Example(3, torch.ones(2, 1), [[A, DOG, END], [RUNS, END]]),
            Example(1, torch.zeros(2, 1), [[A, DOG, RUNS, FAST], [END]]),
        ]
    )
    assert isinstance(batch, Batch)
    assert batch.indices.tolist() == [3, 1]
    assert batch.inputs.shape == (2, 2, 1)
    none = NOTHING
    assert batch.targets.tolist() == [
        [[A, DOG, END, none], [RUNS, END, none, none]],
        [[A, DOG, RUNS, FAST], [END, none, none, none]],
    ]
    is_asked = batch.targets != NOTHING
    assert batch.words[is_asked].tolist() == [
        *(END, A, DOG),
        *(END, RUNS),
        *(END, A, DOG, RUNS),
        END,
    ]
    assert batch.words.dtype == batch.targets.dtype == torch.int64
    assert batch.words.min() >= 0  # they are looked up, asked for or not


def test_features_are_of_the_pictures_meant_and_of_any_view() -> None:
    inputs = CachedFeatures(FEATURES[[2, 0]])
    assert inputs.plain(0).equal(torch.from_numpy(FEATURES[2, 0]))
    assert inputs.plain(1).dtype == torch.float16
    random = np.random.default_rng(0)
    seen = {float(inputs.varied(1, random)[0, 0]) for _ in range(50)}
    assert seen == {float(FEATURES[0, number, 0, 0]) for number in range(3)}


def test_an_epoch_sees_a_view_of_its_own_whatever_was_seen_before() -> None:
    examples = examples_of(("a",), ("dog",), ("runs",), ("fast",))
    seen = []
    for epoch in range(20):
        examples.set_epoch(epoch)
        seen.append([float(examples[at].inputs[0, 0]) for at in range(4)])
    assert len({tuple(each) for each in seen}) > 10
    examples.set_epoch(7)
    assert [float(examples[at].inputs[0, 0]) for at in (3, 2, 1, 0)] == seen[7][::-1]


def test_pictures_are_seen_as_the_service_prepares_them_or_cropped(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"], side=60)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    inputs = PictureViews(paths, GEOMETRY)
    plain = inputs.plain(1)
    assert plain.shape == (32, 48, 3)
    assert plain.dtype == torch.uint8
    assert np.array_equal(plain.numpy(), prepare(paths[1], GEOMETRY))
    crops = [inputs.varied(1, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert crops[0].shape == plain.shape
    assert crops[0].equal(crops[1])
    assert not crops[0].equal(crops[2])
    assert not crops[0].equal(plain)
