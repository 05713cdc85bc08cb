"""What a decoder says of the next word: all at once, a word at a time, and by chance."""

import pytest
import torch
from torch import nn

from tests.training.nets.captioning.tiny_captioners import (
    FEATURES,
    HIDDEN,
    KINDS,
    only_known,
    random_decoder,
    random_features,
)
from training.data.vocabulary import END, UNKNOWN
from training.nets.captioning.decoder import Cell, known

WORDS = 9
both = pytest.mark.parametrize("kind", KINDS)


@both
def test_known_captions_are_scored_as_if_read_a_word_at_a_time(kind: str) -> None:
    decoder, features = random_decoder(kind, WORDS), random_features(3)
    words = torch.randint(2, WORDS, (3, 2, 5))
    words[..., 0] = END
    counts = torch.rand(3, 2, 5) < 0.6
    found = decoder(features, words, counts)
    memory, state = decoder.begin(features, 2)
    expected = []
    for place in range(5):
        advance = decoder.read(decoder.embedding(words[..., place]), memory, state)
        state = advance.state
        expected.append(decoder.score(advance.thought))
        if advance.attention is not None:
            assert advance.attention.shape == (3, 2, 5)
            torch.testing.assert_close(advance.attention.sum(-1), torch.ones(3, 2))
    assert found.shape == (int(counts.sum()), WORDS)
    torch.testing.assert_close(found, torch.stack(expected, 2)[counts])


@both
def test_captions_and_pictures_know_nothing_of_each_other(kind: str) -> None:
    decoder, features = random_decoder(kind, WORDS), random_features(3)
    words = torch.randint(2, WORDS, (3, 4, 5))
    everywhere = torch.ones_like(words, dtype=torch.bool)
    whole = decoder(features, words, everywhere).reshape(3, 4, 5, WORDS)
    part = decoder(features[1:2], words[1:2, 2:3], everywhere[1:2, 2:3])
    torch.testing.assert_close(part, whole[1, 2])
    other = decoder(features.flip(0), words, everywhere).reshape(3, 4, 5, WORDS)
    assert not torch.allclose(other[0], whole[0])


def test_attention_takes_places_in_any_order_and_nic_their_mean() -> None:
    features, words = random_features(1), torch.randint(2, WORDS, (1, 1, 4))
    everywhere = torch.ones_like(words, dtype=torch.bool)
    moved, meant = features.flip(1), features.mean(1, keepdim=True)
    for kind, sees_places in (("nic", False), ("attention", True)):
        decoder = random_decoder(kind, WORDS)
        scores = decoder(features, words, everywhere)
        torch.testing.assert_close(decoder(moved, words, everywhere), scores)
        blurred = decoder(meant, words, everywhere)
        assert torch.allclose(blurred, scores, atol=1e-4) != sees_places
        assert decoder.attends == sees_places


@both
def test_words_of_its_own_take_the_place_of_all_but_the_first(kind: str) -> None:
    decoder, features = random_decoder(kind, WORDS), random_features(8)
    words, others = torch.randint(2, WORDS, (2, 8, 3, 4))
    words[..., 0] = others[..., 0] = END
    everywhere = torch.ones_like(words, dtype=torch.bool)

    def scores(of: torch.Tensor, own_words: float) -> torch.Tensor:
        torch.manual_seed(0)
        found: torch.Tensor = decoder(features, of, everywhere, own_words)
        return found.reshape(8, 3, 4, WORDS)

    assert scores(words, 1.0).equal(scores(others, 1.0))
    true = scores(words, 0.0)
    assert not torch.allclose(true, scores(others, 0.0))
    assert scores(words, 1.0)[:, :, 0].equal(true[:, :, 0])
    some = scores(words, 0.5)[:, :, 1]  # of 24 captions, each another word in half of them
    is_own = (some != true[:, :, 1]).any(-1)
    assert 4 <= int(is_own.sum()) <= 20


@both
def test_words_of_its_own_teach_through_what_is_made_of_them_alone(kind: str) -> None:
    decoder, features = random_decoder(kind, WORDS), random_features(4)
    words = torch.zeros(4, 1, 3, dtype=torch.int64)
    last = torch.zeros_like(words, dtype=torch.bool)
    last[..., -1] = True
    decoder(features, words, last, 1.0).sum().backward()
    grads = [parameter.grad for parameter in decoder.parameters() if parameter.grad is not None]
    assert grads
    assert all(torch.isfinite(grad).all() for grad in grads)


@both
def test_captions_are_drawn_by_their_probability(kind: str) -> None:
    decoder, features = random_decoder(kind, 5), random_features(2)
    with torch.no_grad():
        decoder.scores.bias[UNKNOWN] = 2  # likely, but never drawn
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = decoder.draw(features, 4000, 2)
        words = torch.zeros(2, 1, 1, dtype=torch.int64)
        first = known(decoder(features, words, words == 0)).softmax(-1)
    assert drawn.shape == (2, 4000, 2)
    assert only_known(drawn)
    for picture in range(2):
        shares = torch.bincount(drawn[picture, :, 0], minlength=5) / 4000
        torch.testing.assert_close(shares, first[picture], atol=0.03, rtol=0)
    has_ended = drawn[..., 0] == END
    assert has_ended.any()
    assert (drawn[..., 1][has_ended] == END).all()
    word = int(drawn[0, :, 0][drawn[0, :, 0] != END].mode().values)
    with torch.no_grad():
        words = torch.tensor([[[END, word]]])
        second = known(decoder(features[:1], words, torch.tensor([[[False, True]]]))).softmax(-1)
    after = drawn[0, :, 1][drawn[0, :, 0] == word]
    shares = torch.bincount(after, minlength=5) / len(after)
    torch.testing.assert_close(shares, second[0], atol=0.06, rtol=0)


def test_a_cell_is_an_lstms() -> None:
    torch.manual_seed(0)
    cell, lstm = Cell(FEATURES, HIDDEN), nn.LSTMCell(FEATURES, HIDDEN)
    enter, keep, leave, value = cell.gates.weight.chunk(4)
    bias = cell.gates.bias.detach().chunk(4)
    assert [float(each.mean()) for each in bias] == [0, 1, 0, 0]  # it begins by keeping
    with torch.no_grad():
        weight = torch.cat([enter, keep, value, leave])
        lstm.weight_ih.copy_(weight[:, :FEATURES])
        lstm.weight_hh.copy_(weight[:, FEATURES:])
        lstm.bias_ih.copy_(torch.cat([bias[0], bias[1], bias[3], bias[2]]))
        lstm.bias_hh.zero_()
    inputs, state = torch.randn(4, FEATURES), (torch.randn(4, HIDDEN), torch.randn(4, HIDDEN))
    for found, expected in zip(cell(inputs, state), lstm(inputs, state), strict=True):
        torch.testing.assert_close(found, expected)


@both
def test_what_reads_words_also_scores_them(kind: str) -> None:
    decoder = random_decoder(kind, WORDS)
    assert decoder.scores.weight is decoder.embedding.weight
    other = KINDS[kind](WORDS, FEATURES, hidden=HIDDEN)
    other.load_state_dict(decoder.state_dict())
    assert other.scores.weight is other.embedding.weight
    assert other.embedding.weight.equal(decoder.embedding.weight)


@both
def test_every_parameter_learns(kind: str) -> None:
    """Or several processes would wait for the gradient of the others in vain."""
    decoder, features = random_decoder(kind, WORDS), random_features(2)
    words = torch.randint(0, WORDS, (2, 2, 3))
    scores = decoder.train()(features, words, torch.ones_like(words, dtype=torch.bool))
    scores.square().sum().backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def test_unknown_words_alone_are_left_out() -> None:
    scores = torch.randn(3, 4, 6)
    found = known(scores)
    assert (found[..., UNKNOWN] == -torch.inf).all()
    others = [word for word in range(6) if word != UNKNOWN]
    assert found[..., others].equal(scores[..., others])
