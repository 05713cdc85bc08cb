"""The optimisation of Gatys et al.: the pixels themselves are moved until the loss is low.

"A Neural Algorithm of Artistic Style" (2015, https://arxiv.org/abs/1508.06576), with L-BFGS as
there. It takes minutes a picture, and is what networks are compared with.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import LBFGS

from training.errors import TrainingError
from training.tasks.stylize.objective import Aim, Weighting

Init = Literal["noise", "content"]
"""What the picture is at first: white noise, as in the paper, or the content."""

Told = Callable[[int, Mapping[str, float]], None]
"""Told of evaluations done so far, and the losses of the last."""

_HISTORY = 20


def first_pixels(content: Tensor, init: Init, seed: int) -> Tensor:
    """What to begin with.

    Args:
        content: ``float[1, 3, H, W]`` in 0 to 1.
        init: of which kind.
        seed: of the noise.

    Returns:
        A tensor of its own, of the same shape.
    """
    if init == "content":
        return content.detach().clone(memory_format=torch.contiguous_format)
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(content.shape, generator=generator).to(content)


class Optimisation:
    """A picture on its way to a low loss; it can be looked at and moved on.

    Attributes:
        pixels: ``float[1, 3, H, W]``, in 0 to 1 but for some overshoot.
    """

    def __init__(self, vgg: nn.Module, aim: Aim, begin: Tensor, weighting: Weighting) -> None:
        """Begin.

        Args:
            vgg: gives the activations of the aim.
            aim: of one picture.
            begin: ``float[1, 3, H, W]``; left as it is.
            weighting: of the losses.
        """
        self._vgg, self._aim, self._weighting = vgg, aim, weighting
        self.pixels = begin.detach().clone(memory_format=torch.contiguous_format)
        self.pixels.requires_grad_(True)
        # LBFGS wants gradients laid out as the pixels are.
        self.pixels.register_hook(_contiguous)  # type: ignore[no-untyped-call]
        self._evaluations = 0
        self._optimizer = LBFGS(
            [self.pixels],
            history_size=_HISTORY,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

    @property
    def iterations(self) -> int:
        """Of L-BFGS, done so far."""
        state = self._optimizer.state.get(self.pixels, {})
        return int(state.get("n_iter", 0))

    def move(self, iterations: int, told: Told = lambda *_: None) -> None:
        """Go on for so many iterations, with a line search in each; fewer where none gets lower.

        What L-BFGS has learned of curvature it keeps from call to call.

        Args:
            iterations: at most.
            told: after every evaluation of the loss.

        Raises:
            TrainingError: the loss is not finite.
        """
        # Twice as many evaluations, and the one that every call begins with.
        limits = {"max_iter": iterations, "max_eval": 2 * iterations + 1}
        self._optimizer.param_groups[0].update(limits)

        def evaluate() -> float:
            self._optimizer.zero_grad()
            losses = self._aim.losses(self._vgg(self.pixels), self.pixels)
            total = losses.total(self._weighting).sum()
            total.backward()  # type: ignore[no-untyped-call]
            self._evaluations += 1
            figures = {"loss": float(total.detach())} | {
                name: float(value.detach().sum()) for name, value in losses._asdict().items()
            }
            if not math.isfinite(figures["loss"]):
                raise TrainingError("the loss is not finite: try another --style-weight or --init")
            told(self._evaluations, figures)
            return figures["loss"]

        self._optimizer.step(evaluate)  # type: ignore[no-untyped-call]


def _contiguous(gradient: Tensor) -> Tensor:
    return gradient.contiguous()
