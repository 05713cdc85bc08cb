"""The best epoch of a training: which it is, and its weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from training import checkpoint
from training.errors import TrainingError
from training.recipe import Recipe
from training.run import Run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    Attributes:
        best: the monitored figure's best value; not a number if it never was one.
        epoch: after which it was reached, counted from 1; 0 if it never was a number.
        seconds: spent training and measuring, before interruptions too.
        figures: everything that was measured after that epoch.
    """

    best: float
    epoch: int
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


class Best:
    """Keeps the weights of the epoch with the best monitored figure in ``best.ckpt``."""

    def __init__(self, recipe: Recipe, run: Run, fabric: Fabric) -> None:
        self._recipe, self._run, self._fabric = recipe, run, fabric
        self._epoch = 0
        self._figures: Mapping[str, float] = {}

    def offer(
        self, epoch: int, figures: Mapping[str, float], networks: Mapping[str, nn.Module]
    ) -> None:
        """Keep the networks if they are the best so far; they are never if theirs is no number.

        Raises:
            TrainingError: what the recipe monitors is not among the figures, or the weights
                cannot be written.
        """
        monitor = self._recipe.monitor
        if monitor not in figures:
            raise TrainingError(
                f"the recipe chooses by {monitor!r} but measures {', '.join(figures)}"
            )
        if not self._is_better(figures[monitor]):
            return
        self._epoch, self._figures = epoch, figures
        states = {name: network.state_dict() for name, network in networks.items()}
        state = {"networks": states, "epoch": epoch, "figures": dict(figures)}
        checkpoint.write(self._run.best, state, self._fabric)

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value) or not self._epoch:
            return math.isfinite(value)
        best = self._figures[self._recipe.monitor]
        # Of equals the later: small held-out sets tie often, and its learning rate was lower.
        return value >= best if self._recipe.higher_is_better else value <= best

    def outcome(self, seconds: float) -> Outcome:
        """Give the recipe's networks the best weights, if there are any; what they measured."""
        if self._epoch:
            _take(self._recipe, checkpoint.read(self._run.best, self._fabric))
        value = self._figures.get(self._recipe.monitor, math.nan)
        return Outcome(value, self._epoch, seconds, self._figures)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"epoch": self._epoch, "figures": dict(self._figures)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self._epoch, self._figures = state["epoch"], state["figures"]


def load_best(recipe: Recipe, run: Run) -> Mapping[str, float]:
    """Give a recipe's networks the weights of a run's best epoch.

    Returns:
        What that epoch's networks measured on held-out data.
    """
    return _take(recipe, torch.load(run.best, map_location="cpu", weights_only=True))


def _take(recipe: Recipe, state: Mapping[str, Any]) -> Mapping[str, float]:
    for name, network in recipe.networks.items():
        network.load_state_dict(state["networks"][name])
    figures: Mapping[str, float] = state["figures"]
    return figures
