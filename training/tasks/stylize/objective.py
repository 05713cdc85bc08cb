"""What all methods are judged by: the loss of Gatys et al. on the features of one VGG-19."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from training.nets.style.losses import content_loss, gram, gram_loss, total_variation
from training.nets.style.vgg import ENCODED
from training.ranges import need


@dataclass(frozen=True)
class Weighting:
    """What is lost, in numbers.

    In the normalised VGG-19 a channel's mean activation is about 1, so that losses of all layers
    are of like size. With a style weight of 10 the content loss of a picture that has taken on the
    style is about as large as what is left of the weighted style loss.

    Raises:
        ValueError: a weight is negative.
    """

    style_weight: float = 10.0
    """Weight of the Gram matrices' loss, summed over the layers, beside the content's of 1."""
    smooth_weight: float = 10.0
    """Weight of the total variation."""

    def __post_init__(self) -> None:
        style, smooth = self.style_weight, self.smooth_weight
        need(style >= 0, "style-weight", "0 or more", style)
        need(smooth >= 0, "smooth-weight", "0 or more", smooth)


class Losses(NamedTuple):
    """Of each picture of a batch, ``float32[N]``.

    Attributes:
        content: of the content's features.
        style: of the Gram matrices, summed over the layers.
        variation: between neighbouring pixels.
    """

    content: Tensor
    style: Tensor
    variation: Tensor

    def total(self, weighting: Weighting) -> Tensor:
        """All in one, ``float32[N]``."""
        style = weighting.style_weight * self.style
        return self.content + style + weighting.smooth_weight * self.variation


@dataclass(frozen=True, slots=True)
class Aim:
    """What pictures should come near to.

    Attributes:
        content: features of the contents by layer, ``float[N, C, h, w]``.
        style: Gram matrices of the styles by layer, ``float[N, C, C]``.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]

    @classmethod
    def of(
        cls,
        content: Mapping[str, Tensor],
        style: Mapping[str, Tensor],
        content_layers: tuple[str, ...] = ENCODED[-1:],
        style_layers: tuple[str, ...] = ENCODED,
    ) -> Self:
        """The aim of two pictures' features.

        Args:
            content: activations of the contents by layer.
            style: activations of the styles by layer.
            content_layers: those by which the content is told.
            style_layers: those by which the style is told.
        """
        return cls(
            {layer: content[layer].detach() for layer in content_layers},
            {layer: gram(style[layer]).detach() for layer in style_layers},
        )

    def losses(self, features: Mapping[str, Tensor], pixels: Tensor) -> Losses:
        """How far pictures are from the aim.

        Args:
            features: of the pictures, by layer.
            pixels: of the pictures, ``float[N, 3, H, W]``.
        """
        contents = [content_loss(features[name], at) for name, at in self.content.items()]
        styles = [gram_loss(features[name], at) for name, at in self.style.items()]
        return Losses(
            torch.stack(contents).sum(0), torch.stack(styles).sum(0), total_variation(pixels)
        )
