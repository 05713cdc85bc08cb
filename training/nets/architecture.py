"""What is known of a classification network besides its code."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from torch import nn

from service.contract import Interpolation

#: For networks trained from scratch: one integer mean for all channels lets the 8-bit variant of
#: the graph run on the pixels themselves, and most pixels come out within -2..2.
SCRATCH_MEAN, SCRATCH_STD = 128.0, 64.0
#: What torchvision's networks were trained with on ImageNet, in pixel units.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

Normalisation = float | tuple[float, float, float]


class ArchitectureError(ValueError):
    """There is no such network, or it cannot be built as asked; the message says what can."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a network is built for; see :func:`build`. ``dropout`` is 0 where there is none."""

    classes: int
    channels: int
    small_images: bool
    dropout: float
    size: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network.

    Attributes:
        name: its key in ARCHITECTURES.
        build: makes it; prefer the function :func:`build`, which checks the arguments.
        head: prefixes of the parameters whose shape depends on the classes, and of what only
            serves those (auxiliary heads).
        stages: groups of prefixes from the input to the output, the head last; together they hold
            every parameter once. For layer-wise learning rates and for freezing.
        mean: taken off a pixel 0..255 before ``std`` divides it: what published weights, if there
            are any, were trained with.
        std: see ``mean``.
        size: side of the pictures it is made for, in pixels.
        crop: side of the centred window that evaluation sees, as a part of the shorter side.
        interpolation: of the resize in evaluation.
        dropout: probability before the classifier, ``None`` where it has no dropout.
        small: whether it can be adapted to pictures of about 32x32 pixels, or is made for them.
    """

    name: str
    build: Callable[[Options], nn.Module]
    head: tuple[str, ...]
    stages: tuple[tuple[str, ...], ...]
    mean: Normalisation = IMAGENET_MEAN
    std: Normalisation = IMAGENET_STD
    size: int = 224
    crop: float = 224 / 256
    interpolation: Interpolation = "bilinear"
    dropout: float | None = None
    small: bool = True

    def from_scratch(self) -> Self:
        """The same network for weights of one's own: one mean and deviation for all channels."""
        return replace(self, mean=SCRATCH_MEAN, std=SCRATCH_STD)


def belongs(parameter: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a parameter's dotted name lies under one of the prefixes."""
    return any(parameter == prefix or parameter.startswith(f"{prefix}.") for prefix in prefixes)
