"""How the learning rate goes over a training."""

import bisect
import math
from collections.abc import Callable, Mapping
from typing import Literal

from torch.optim import Optimizer

Kind = Literal["cosine", "step", "constant"]


def schedule(
    kind: Kind,
    steps: int,
    *,
    warmup: int = 0,
    final: float = 0.0,
    milestones: tuple[float, ...] = (0.5, 0.75),
    gamma: float = 0.1,
) -> Callable[[int], float]:
    """The factor on the learning rate at each step.

    Linear warm-up (Goyal et al., 2017, https://arxiv.org/abs/1706.02677), then half a cosine
    (Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983), steps down, or nothing.

    Args:
        kind: what follows the warm-up.
        steps: of the whole training.
        warmup: steps over which the factor rises to 1.
        final: the factor at the end of a cosine.
        milestones: where ``step`` falls, as shares of the training; they rise.
        gamma: what it falls by.

    Returns:
        A function of the step, counted from 0.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if kind == "cosine":
            progress = min(1.0, (step - warmup) / max(1, steps - warmup))
            return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
        if kind == "step":
            return gamma ** bisect.bisect_right(milestones, step / max(1, steps))
        return 1.0

    return factor


class Rates:
    """The learning rates of several optimizers, each a share of what it was made with.

    PyTorch's schedulers count their own steps; this needs the step alone, so there is nothing to
    save, and no complaint about an optimizer that has nothing to do yet.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer], factor: Callable[[int], float]) -> None:
        """Take the rates the optimizers have now as the height that ``factor`` scales."""
        self._optimizers, self._factor = optimizers, factor
        self._heights = {
            name: tuple(group["lr"] for group in optimizer.param_groups)
            for name, optimizer in optimizers.items()
        }

    def set(self, step: int) -> None:
        """Set the rates for a step, counted from 0."""
        factor = self._factor(step)
        for name, optimizer in self._optimizers.items():
            for group, height in zip(optimizer.param_groups, self._heights[name], strict=True):
                group["lr"] = height * factor

    def figures(self) -> dict[str, float]:
        """The highest rate of each optimizer, for the history."""
        return {
            "lr" if name == "main" else f"lr_{name}": max(
                group["lr"] for group in optimizer.param_groups
            )
            for name, optimizer in self._optimizers.items()
        }
