"""How the weights of a network are moved: which optimiser, which of them, how fast."""

from typing import Any, Literal

import pytest
from torch import nn, optim

from training.optimisation import Optimisation, optimizer

STAGES = (("0",), ("1",), ("2",))


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 4))


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", optim.AdamW), ("adam", optim.Adam), ("sgd", optim.SGD)]
)
def test_each_optimiser_is_what_it_says(
    name: Literal["adamw", "adam", "sgd"], kind: type[optim.Optimizer]
) -> None:
    made = optimizer(net(), STAGES, Optimisation(optimizer=name, lr=0.5))
    assert type(made) is kind
    assert {group["lr"] for group in made.param_groups} == {0.5}
    if name == "sgd":
        assert {(g["momentum"], g["nesterov"]) for g in made.param_groups} == {(0.9, True)}


def test_stages_learn_more_slowly_towards_the_input_and_only_weights_decay() -> None:
    network = net()
    chosen = Optimisation(lr=0.8, layer_decay=0.5, weight_decay=0.1)
    seen = {
        parameter: (group["lr"], group["weight_decay"])
        for group in optimizer(network, STAGES, chosen).param_groups
        for parameter in group["params"]
    }
    rates = {name: seen[parameter] for name, parameter in network.named_parameters()}
    assert rates == {
        "0.weight": (0.2, 0.1),
        "0.bias": (0.2, 0),
        "1.weight": (0.4, 0),
        "1.bias": (0.4, 0),
        "2.weight": (0.8, 0.1),
        "2.bias": (0.8, 0),
    }


def test_frozen_parameters_are_left_out() -> None:
    network = net()
    network[0].requires_grad_(False)
    groups = optimizer(network, STAGES, Optimisation()).param_groups
    moved = {id(parameter) for group in groups for parameter in group["params"]}
    assert moved == {id(p) for at in (1, 2) for p in network[at].parameters()}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lr": 0.0}, "--lr must be above 0, not 0.0"),
        ({"lr": float("nan")}, "--lr must be above 0, not nan"),
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"weight_decay": -1.0}, "--weight-decay must be 0 or more, not -1.0"),
        ({"layer_decay": 0.0}, "--layer-decay must be above 0 and at most 1, not 0.0"),
        ({"layer_decay": 1.1}, "--layer-decay must be above 0 and at most 1, not 1.1"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Optimisation(**options)
