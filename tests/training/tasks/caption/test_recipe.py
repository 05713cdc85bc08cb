"""What one batch does to a captioner: by true captions, and by its own."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.contract import InputGeometry
from training.data.caption_examples import NOTHING, Batch, CachedFeatures, CaptionExamples
from training.data.captioned import Captioned, CaptionedSet
from training.data.vocabulary import END, UNKNOWN, Vocabulary
from training.nets.captioning.beam import BeamSearch
from training.nets.captioning.decoder import Decoder
from training.nets.captioning.net import CaptionNet
from training.nets.captioning.nic import NeuralImageCaption
from training.optimisation import Optimisation
from training.recipe import Objective, Part
from training.settings import Training
from training.tasks.caption import predict
from training.tasks.caption.config import Caption
from training.tasks.caption.metrics import measure
from training.tasks.caption.predict import captions, references
from training.tasks.caption.recipe import CaptionRecipe
from training.tasks.caption.reward import Consensus

TEXTS = (
    ("a dog runs fast", "a dog runs"),
    ("two cats sleep here now", "cats sleep"),
    ("a dog sleeps", "the dog sleeps now here"),
    ("two birds", "birds fly fast"),
)
VOCABULARY = Vocabulary.of([text for of_one in TEXTS for text in of_one], min_count=1)
FEATURES = np.random.default_rng(0).normal(size=(4, 2, 3, 6)).astype(np.float16)
CONFIG = Caption(
    hidden=16,
    dropout=0.0,
    longest=4,
    captions=2,
    label_smoothing=0.0,
    optimisation=Optimisation(batch_size=4, lr=0.01, weight_decay=0),
    training=Training(epochs=5),
)


def examples_of(config: Caption) -> CaptionExamples:
    items = tuple(Captioned(Path(f"{at}.png"), each) for at, each in enumerate(TEXTS))
    return CaptionExamples(
        CaptionedSet(items),
        CachedFeatures(FEATURES),
        VOCABULARY,
        InputGeometry(height=32, width=32, resize="squash"),
        longest=config.longest,
        captions=config.captions,
    )


def make(net: nn.Module | None = None, **options: Any) -> CaptionRecipe:
    config = replace(CONFIG, **options)
    torch.manual_seed(0)
    decoder = NeuralImageCaption(len(VOCABULARY), 6, hidden=config.hidden, dropout=config.dropout)
    given: Any = net or CaptionNet(decoder)
    stages = ((next(given.named_parameters())[0].split(".")[0],),)
    return CaptionRecipe(given, stages, examples_of(config), examples_of(config), config)


def batch_of(recipe: CaptionRecipe, epoch: int = 0, part: Part | None = None) -> Batch:
    batches: Iterable[Batch] = recipe.batches(epoch, 0, part or Part())
    return next(iter(batches))


def objective_of(recipe: CaptionRecipe, batch: Batch) -> Objective:
    [objective] = recipe.update(batch, recipe.networks)
    return objective


def backward(objective: Objective) -> None:
    objective.loss.backward()  # type: ignore[no-untyped-call]


def decoder_of(recipe: CaptionRecipe) -> Decoder:
    net = recipe.networks["net"]
    assert isinstance(net, CaptionNet)
    return net.decoder


def learn(recipe: CaptionRecipe, epoch: int, steps: int) -> list[Objective]:
    """Take some steps by the batch of an epoch."""
    recipe.begin_epoch(epoch)
    batch, taken = batch_of(recipe), []
    for step in range(steps):
        torch.manual_seed(step)
        objective = objective_of(recipe, batch)
        recipe.optimizers["main"].zero_grad()
        backward(objective)
        recipe.optimizers["main"].step()
        taken.append(objective)
    return taken


def test_steps_lower_the_loss() -> None:
    taken = learn(make(), 0, 60)
    assert float(taken[-1].loss.detach()) < 0.5 * float(taken[0].loss.detach())
    right = [float(one.logged["words_right"]) for one in taken]
    assert 0 <= right[0] < right[-1] <= 1


class Noted(nn.Module):
    """Scores that are its parameters; notes what it is given."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores, self.own_words = nn.Parameter(scores), -1.0

    def forward(self, inputs: Tensor, words: Tensor, counts: Tensor, own_words: float) -> Tensor:
        """As ``CaptionNet``."""
        self.inputs, self.words, self.own_words = inputs, words, own_words
        return self.scores[counts]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_by_hand(smoothing: float) -> None:
    torch.manual_seed(1)
    net = Noted(torch.randn(4, 2, 5, len(VOCABULARY)))
    recipe = make(net, label_smoothing=smoothing)
    batch = batch_of(recipe)
    objective = objective_of(recipe, batch)
    likely = net.scores.detach().double().log_softmax(-1).numpy()
    losses = []
    for at in np.ndindex(tuple(batch.targets.shape)):
        target = int(batch.targets[at])
        if target != NOTHING:
            losses.append(-(1 - smoothing) * likely[at][target] - smoothing * likely[at].mean())
    assert len(losses) < batch.targets.numel()
    assert float(objective.loss.detach()) == pytest.approx(np.mean(losses), rel=1e-5)
    assert net.words.equal(batch.words)
    backward(objective)
    assert net.scores.grad is not None
    assert not net.scores.grad[batch.targets == NOTHING].any()


def test_what_is_cut_teaches_no_end() -> None:
    recipe = make(longest=2)
    batch = batch_of(recipe)
    ends = (batch.targets == END).sum((1, 2))
    assert batch.targets.shape[-1] == 3
    expected = [
        sum(len(text.split()) <= 2 for text in TEXTS[index]) for index in batch.indices.tolist()
    ]
    assert ends.tolist() == expected
    assert sorted(expected) == [0, 0, 1, 1]


def test_the_decoders_own_words_come_gradually() -> None:
    net = Noted(torch.zeros(4, 2, 5, len(VOCABULARY)))
    recipe = make(net, own_words=0.4, self_critical_epochs=2, training=Training(epochs=7))
    seen = []
    for epoch in range(5):
        recipe.begin_epoch(epoch)
        objective_of(recipe, batch_of(recipe, epoch))
        seen.append(net.own_words)
    assert seen == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("critical", [0, 1, 2])
def test_the_last_epochs_learn_from_what_is_drawn(critical: int) -> None:
    recipe = make(self_critical_epochs=critical)
    names = []
    for epoch in range(5):
        recipe.begin_epoch(epoch)
        names += list(objective_of(recipe, batch_of(recipe, epoch)).logged)
    assert names == ["words_right"] * (5 - critical) + ["drawn_cider"] * critical


def test_what_is_drawn_becomes_worth_more() -> None:
    recipe = make(self_critical_epochs=1, captions=8)
    learn(recipe, 0, 10)  # a little, so that something worth anything is drawn
    taken = learn(recipe, 4, 100)
    worth = [float(one.logged["drawn_cider"]) for one in taken]
    assert np.mean(worth[-10:]) > 1.5 * np.mean(worth[:10])
    assert decoder_of(recipe).training
    drawn = decoder_of(recipe).draw(torch.from_numpy(FEATURES[:, 0]).float(), 20, 4)
    assert not (drawn == UNKNOWN).any()


def test_a_drawn_caption_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make(self_critical_epochs=1)
    recipe.begin_epoch(4)
    batch, decoder = batch_of(recipe), decoder_of(recipe)
    drawn = torch.tensor(
        [
            [[2, 3, 4, 5], [2, 3, 0, 0]],
            [[0, 0, 0, 0], [6, 7, 8, 0]],
            [[2, 3, 4, 5], [9, 0, 0, 0]],
            [[7, 2, 0, 0], [5, 5, 5, 5]],
        ]
    )
    monkeypatch.setattr(decoder, "draw", lambda *_: drawn)
    objective = objective_of(recipe, batch)
    # The end is told of if it was drawn; a caption of as many words as there may be has none.
    told = [
        [[2, 3, 4, 5], [2, 3, END]],
        [[END], [6, 7, 8, END]],
        [[2, 3, 4, 5], [9, END]],
        [[7, 2, END], [5, 5, 5, 5]],
    ]
    worth = Consensus(examples_of(CONFIG).numbers)(batch.indices.tolist(), told)
    total, count = 0.0, 0
    features = batch.inputs.float()
    for row, of_one in enumerate(told):
        for place, caption in enumerate(of_one):
            words = torch.tensor([[[END, *caption[:-1]]]])
            with torch.no_grad():
                scores = decoder(features[row : row + 1], words, words >= 0).double()
            scores[:, UNKNOWN] = -torch.inf
            likely = scores.log_softmax(-1)
            above = worth[row, place] - worth[row, 1 - place]
            total -= above * sum(float(likely[at, word]) for at, word in enumerate(caption))
            count += len(caption)
    assert np.ptp(worth) > 0
    assert float(objective.loss.detach()) == pytest.approx(total / count, rel=1e-4)
    assert float(objective.logged["drawn_cider"]) == pytest.approx(worth.mean())


@pytest.mark.parametrize("epoch", [0, 4])
def test_two_processes_gradients_average_to_the_whole_batchs(
    epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make(self_critical_epochs=1)
    net, decoder = recipe.networks["net"], decoder_of(recipe)
    recipe.begin_epoch(epoch)
    counts: list[float] = []
    grads = []

    def draw(features: Tensor, count: int, longest: int) -> Tensor:
        del features
        return torch.stack([of_picture(index, count, longest) for index in now])

    def of_picture(index: int, count: int, longest: int) -> Tensor:
        torch.manual_seed(index)
        drawn = torch.randint(2, len(VOCABULARY), (count, longest))
        return drawn * (torch.arange(longest) < 1 + index)

    monkeypatch.setattr(decoder, "draw", draw)
    for part in (Part(), Part(0, 2), Part(1, 2)):
        net.zero_grad()
        batch = batch_of(recipe, epoch, part)
        now = batch.indices.tolist()
        if epoch:
            mine = float(sum(2 * min(2 + index, 4) for index in now))
        else:
            mine = float((batch.targets != NOTHING).sum())
        counts.append(mine)

        def reduce(count: Tensor, mine: float = mine) -> None:
            assert float(count) == mine
            count.fill_(counts[0])

        monkeypatch.setattr(torch.distributed, "all_reduce", reduce)
        backward(objective_of(recipe, batch))
        grads.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert counts[0] == counts[1] + counts[2]
    assert counts[1] != counts[2]
    for whole, first, second in zip(*grads, strict=True):
        assert whole.any()
        torch.testing.assert_close((first + second) / 2, whole, rtol=1e-4, atol=1e-6)


def test_an_epoch_is_made_of_full_batches_and_resumes_where_it_was() -> None:
    recipe = make(optimisation=Optimisation(batch_size=2))
    assert recipe.batches_per_epoch == 2
    whole: list[Batch] = list(recipe.batches(3, 0, Part()))
    [second] = recipe.batches(3, 1, Part())
    assert [len(each.indices) for each in whole] == [2, 2]
    assert all(one.equal(other) for one, other in zip(whole[1], second, strict=True))
    assert make(optimisation=Optimisation(batch_size=64)).batches_per_epoch == 1


def test_figures_are_those_of_the_captions_a_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make(beams=2)
    learn(recipe, 0, 30)
    net = recipe.networks["net"].eval()
    assert isinstance(net, CaptionNet)
    search, examples = BeamSearch(net.decoder, 2, 4), examples_of(CONFIG)
    told = captions(net, search, examples)
    assert len({tuple(words) for words in told}) > 1
    quality = measure(told, references(examples), resamples=0)
    found = recipe.evaluate(recipe.networks, Part())
    assert found == {"cider": quality.cider, "bleu4": quality.bleu[3], "words": quality.length}
    assert recipe.monitor == "cider"
    assert recipe.higher_is_better

    other = captions(net, search, examples, Part(1, 2))
    assert other == told[1::2]

    def gather(parts: list[Any], mine: Any) -> None:
        parts[:] = mine, other

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert recipe.evaluate(recipe.networks, Part(0, 2)) == pytest.approx(found)


def test_pictures_go_through_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make()
    net = recipe.networks["net"].eval()
    assert isinstance(net, CaptionNet)
    search, examples = BeamSearch(net.decoder, 2, 4), examples_of(CONFIG)
    whole = captions(net, search, examples)
    monkeypatch.setattr(predict, "_AT_ONCE", 3)
    assert captions(net, search, examples) == whole
