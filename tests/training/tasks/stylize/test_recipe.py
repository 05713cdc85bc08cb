from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from training.nets.style.adain import slim_network
from training.nets.style.loading import load_encoder, published_stylizer
from training.nets.style.vgg import Vgg19
from training.recipe import Objective, Part
from training.tasks.stylize.data import gather
from training.tasks.stylize.presets import SLIM
from training.tasks.stylize.recipe import StylizeRecipe
from training.tasks.stylize.targets import targets

Make = Callable[..., StylizeRecipe]


@pytest.fixture
def make(photographs: Path, paintings: Path, vgg: Vgg19) -> Make:
    """Makes the recipe of a slim network, or of a full one."""

    def made(network: Literal["full", "slim"] = "slim", *, identity: float = 0.5) -> StylizeRecipe:
        config = replace(
            SLIM,
            crop=None,
            network=network,
            content=(photographs,),
            styles=(paintings,),
            side=64,
            views=1,
            samples=8,
            pairs=2,
            identity=identity,
            optimisation=replace(SLIM.optimisation, batch_size=4, lr=1e-4),
        )
        gathered = gather(config)
        torch.manual_seed(0)
        net = slim_network() if network == "slim" else published_stylizer()
        load_encoder(net)
        asked = targets(vgg, net, gathered.views, torch.device("cpu"))
        return StylizeRecipe(net, vgg, gathered.train, gathered.held_out, asked, config)

    return made


def _first(recipe: StylizeRecipe) -> Objective:
    batch = next(iter(recipe.batches(0, 0, Part())))
    return next(recipe.update(batch, recipe.networks))


def test_batches_are_the_seeds_and_the_epochs(make: Make) -> None:
    recipe = make()
    assert recipe.batches_per_epoch == 2
    [whole, second] = recipe.batches(1, 0, Part())
    assert whole.content.shape == (4, 64, 64, 3)
    [later] = recipe.batches(1, 1, Part())
    assert later.content.equal(second.content)
    halves = [next(iter(recipe.batches(1, 0, Part(rank, 2)))) for rank in (0, 1)]
    assert (
        torch.cat([half.number for half in halves]).sort().values.equal(whole.number.sort().values)
    )


@pytest.mark.parametrize("network", ["slim", "full"])
def test_only_what_is_to_be_trained_gets_a_gradient(make: Make, network: str) -> None:
    recipe = make(network)
    objective = _first(recipe)
    objective.loss.backward()  # type: ignore[no-untyped-call]
    for name, net in recipe.networks.items():
        for parameter in net.parameters():
            assert (parameter.grad is not None) == (name == "net" and parameter.requires_grad)
    assert set(objective.logged) == {"log_total", "content", "style", "identity"}


def test_steps_lower_the_loss(make: Make) -> None:
    recipe = make()
    batch = next(iter(recipe.batches(0, 0, Part())))
    losses = []
    for _ in range(6):
        [objective] = recipe.update(batch, recipe.networks)
        recipe.optimizers["main"].zero_grad()
        objective.loss.backward()  # type: ignore[no-untyped-call]
        recipe.optimizers["main"].step()
        losses.append(objective.loss.item())
    assert losses[-1] < losses[0]


def test_without_a_share_for_it_nothing_stays_as_it_is(make: Make) -> None:
    assert "identity" not in _first(make(identity=0.0)).logged


def test_held_out_pairs_are_measured_in_parts(make: Make) -> None:
    recipe = make()
    with torch.inference_mode():
        figures = recipe.evaluate(recipe.networks, Part())
    assert set(figures) == {"loss", "content", "style"}
    assert recipe.monitor in figures
    assert all(value > 0 for value in figures.values())
    assert figures["loss"] >= figures["content"] * 0.5


@pytest.mark.parametrize("network", ["slim", "full"])
def test_the_encoder_is_the_one_it_is_judged_by(make: Make, vgg: Vgg19, network: str) -> None:
    encoder = make(network).networks["net"].get_submodule("encoder.vgg")
    assert encoder.get_parameter("conv3_1.weight").equal(vgg.get_parameter("conv3_1.weight"))
