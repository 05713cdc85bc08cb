"""Beam search against all captions there are, and against itself."""

from itertools import product

import pytest
import torch
from torch import Tensor

from tests.training.nets.captioning.tiny_captioners import (
    KINDS,
    only_known,
    random_decoder,
    random_features,
    told,
)
from training.data.vocabulary import END, UNKNOWN
from training.nets.captioning.attentive import SoftAttention
from training.nets.captioning.beam import BeamSearch, Found
from training.nets.captioning.decoder import Advance, Decoder, Memory, State

LONGEST = 3
PENALTIES = (0.0, 0.7, 1.0)
both = pytest.mark.parametrize("kind", KINDS)


def search(
    decoder: Decoder,
    features: Tensor,
    beams: int,
    longest: int = LONGEST,
    limits: list[int] | None = None,
    penalty: float = 1.0,
) -> Found:
    with torch.inference_mode():
        most = torch.tensor(limits or [longest] * len(features), dtype=torch.int32)
        found: Found = BeamSearch(decoder, beams, longest, penalty)(features, most)
        return found


def captions_of(found: Found, picture: int) -> list[list[int]]:
    """Of a picture, those there are; from the end on there must be nothing."""
    captions = []
    for tokens, length, score in zip(
        found.tokens[picture].tolist(),
        found.lengths[picture].tolist(),
        found.scores[picture].tolist(),
        strict=True,
    ):
        assert END not in tokens[:length]
        assert set(tokens[length:]) <= {END}
        if score > float("-inf"):
            captions.append(tokens[:length])
    return captions


def every_caption(words: int, longest: int) -> list[list[int]]:
    known = [word for word in range(words) if word not in (END, UNKNOWN)]
    return [list(each) for length in range(longest + 1) for each in product(known, repeat=length)]


@both
@pytest.mark.parametrize("penalty", PENALTIES)
def test_with_a_beam_for_every_caption_the_order_is_that_of_brute_force(
    kind: str, penalty: float
) -> None:
    decoder, features = random_decoder(kind, words=5), random_features(2)
    every = every_caption(5, LONGEST)
    assert len(every) == 40
    found = search(decoder, features, len(every), penalty=penalty)
    for picture in range(2):
        worth = {
            tuple(caption): told(decoder, features[picture], caption)
            / (len(caption) + 1) ** penalty
            for caption in every
        }
        ranked = sorted(worth, key=lambda caption: -worth[caption])
        assert [tuple(caption) for caption in captions_of(found, picture)] == ranked
        expected = torch.tensor([worth[caption] for caption in ranked])
        torch.testing.assert_close(found.scores[picture], expected)


@both
@pytest.mark.parametrize("beams", [1, 3])
def test_scores_fall_and_are_log_probabilities_by_length(kind: str, beams: int) -> None:
    end = {"nic": 0.5, "attention": 1.5}[kind]
    decoder, features = random_decoder(kind, words=20, end=end), random_features(12)
    lengths = set()
    for penalty in PENALTIES:
        found = search(decoder, features, beams, longest=8, penalty=penalty)
        for picture in range(12):
            captions = captions_of(found, picture)
            assert len({tuple(caption) for caption in captions}) == beams
            expected = [
                told(decoder, features[picture], caption) / (len(caption) + 1) ** penalty
                for caption in captions
            ]
            assert found.scores[picture].tolist() == pytest.approx(expected, abs=1e-4)
            assert (found.scores[picture].diff() <= 0).all()
            lengths |= {len(caption) for caption in captions}
    assert len(lengths) > 1


@both
def test_one_beam_is_greedy(kind: str) -> None:
    end, longest = {"nic": (0.5, 5), "attention": (1.0, 6)}[kind]
    decoder, features = random_decoder(kind, words=20, end=end), random_features(12)
    found = search(decoder, features, beams=1, longest=longest)
    endings = set()
    for picture in range(12):
        caption: list[int] = []
        memory, state = decoder.begin(features[picture][None], 1)
        last = END
        while len(caption) < longest:
            advance = decoder.read(decoder.embedding(torch.tensor([[last]])), memory, state)
            state = advance.state
            scores = decoder.score(advance.thought)[0, 0]
            scores[UNKNOWN] = -torch.inf
            last = int(scores.argmax())
            if last == END:
                break
            caption.append(last)
        assert captions_of(found, picture) == [caption]
        endings.add(last == END)
    assert endings == {True, False}  # some end by themselves, some are cut


@both
def test_a_picture_is_described_alike_alone_and_among_others(kind: str) -> None:
    decoder, features = random_decoder(kind, words=20, end=0.5), random_features(5)
    limits = [6, 1, 4, 6, 2]
    together = search(decoder, features, beams=3, longest=6, limits=limits)
    for picture, limit in enumerate(limits):
        alone = search(decoder, features[[picture]], beams=3, longest=6, limits=[limit])
        assert captions_of(alone, 0) == captions_of(together, picture)
        torch.testing.assert_close(alone.scores[0], together.scores[picture])
        if kind == "attention":
            assert alone.attention is not None
            assert together.attention is not None
            torch.testing.assert_close(alone.attention[0], together.attention[picture])


@both
def test_no_caption_is_longer_than_its_picture_asks_for(kind: str) -> None:
    decoder, features = random_decoder(kind, words=20, end=-30.0), random_features(4)
    found = search(decoder, features, beams=3, longest=5, limits=[5, 1, 3, 2])
    for picture, limit in enumerate((5, 1, 3, 2)):
        captions = captions_of(found, picture)
        assert [len(caption) for caption in captions] == [limit] * 3
        expected = told(decoder, features[picture], captions[0]) / (limit + 1)
        assert float(found.scores[picture, 0]) == pytest.approx(expected, rel=1e-4)


@both
@pytest.mark.parametrize("asked", [6, 1000])
def test_more_words_than_there_is_room_for_are_as_many_as_there_is(kind: str, asked: int) -> None:
    decoder, features = random_decoder(kind, words=9, end=-30.0), random_features(1)
    whole = search(decoder, features, beams=2, longest=5)
    found = search(decoder, features, beams=2, longest=5, limits=[asked])
    assert captions_of(found, 0) == captions_of(whole, 0)
    assert found.scores.equal(whole.scores)


@both
def test_an_unknown_word_never_comes(kind: str) -> None:
    decoder, features = random_decoder(kind, words=6), random_features(3)
    with torch.no_grad():
        decoder.scores.bias[UNKNOWN] = 30
    for beams in (1, 4):
        found = search(decoder, features, beams, longest=4)
        assert only_known(found.tokens)
        assert all(captions_of(found, picture) for picture in range(3))


@both
@pytest.mark.parametrize("penalty", PENALTIES)
def test_beams_that_no_caption_is_left_for_score_minus_infinity(kind: str, penalty: float) -> None:
    decoder, features = random_decoder(kind, words=4), random_features(2)
    found = search(decoder, features, beams=9, longest=4, limits=[1, 2], penalty=penalty)
    for picture, limit in enumerate((1, 2)):
        every = every_caption(4, limit)
        captions = captions_of(found, picture)
        assert sorted(captions) == sorted(every)
        assert found.lengths[picture].max() == limit
    assert only_known(found.tokens)
    assert (found.scores[0] == -torch.inf).sum() == 6
    assert (found.scores[1] == -torch.inf).sum() == 2
    assert (found.scores[:, :3] > -torch.inf).all()


def test_attention_is_where_each_word_looked_and_nowhere_from_the_end_on() -> None:
    decoder, features = random_decoder("attention", words=20, end=1.0), random_features(4)
    found = search(decoder, features, beams=3, longest=6)
    assert found.attention is not None
    assert found.attention.shape == (4, 3, 6, 5)
    is_word = torch.arange(6) < found.lengths[..., None]
    assert is_word.any()
    assert not is_word.all()
    sums = found.attention.sum(-1)
    torch.testing.assert_close(sums[is_word], torch.ones_like(sums[is_word]))
    assert not found.attention[~is_word].any()
    assert (found.attention >= 0).all()
    for picture in range(4):  # of each caption it is what reading it again gives
        for rank, caption in enumerate(captions_of(found, picture)):
            memory, state = decoder.begin(features[picture][None], 1)
            for place, word in enumerate([END, *caption[:-1]][: len(caption)]):
                advance = decoder.read(decoder.embedding(torch.tensor([[word]])), memory, state)
                state = advance.state
                assert advance.attention is not None
                torch.testing.assert_close(
                    advance.attention[0, 0], found.attention[picture, rank, place]
                )


def test_one_that_does_not_look_has_no_attention() -> None:
    assert search(random_decoder("nic", words=5), random_features(1), beams=2).attention is None


class Counting(SoftAttention):
    """Counts the words it reads."""

    reads = 0

    def read(self, embedded: Tensor, memory: Memory, state: State) -> Advance:
        self.reads += 1
        return super().read(embedded, memory, state)


@pytest.mark.parametrize(("end", "reads"), [(40.0, 1), (-40.0, 8)])
def test_the_search_ends_with_the_last_caption(end: float, reads: int) -> None:
    torch.manual_seed(0)
    decoder = Counting(6, 6, hidden=8).eval()
    with torch.no_grad():
        decoder.scores.bias[END] = end
    found = search(decoder, random_features(3), beams=1, longest=7)
    assert decoder.reads == reads
    assert set(found.lengths.flatten().tolist()) == {reads - 1}
