"""How near a network's pictures come to their contents and styles."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.style_pictures import FixedPairs
from training.nets.style.stylizer import Stylizer, images_of, pixels_of
from training.tasks.stylize.objective import Aim, Losses, Weighting


@dataclass(frozen=True, slots=True)
class Quality:
    """Losses of pictures, one a pair.

    Attributes:
        totals: ``float64[P]``, all losses in one.
        contents: ``float64[P]``.
        styles: ``float64[P]``, summed over the layers.
    """

    totals: NDArray[np.float64]
    contents: NDArray[np.float64]
    styles: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """The geometric mean of the totals."""
        return float(np.exp(np.log(self.totals).mean()))

    @property
    def content(self) -> float:
        """The mean content loss."""
        return float(self.contents.mean())

    @property
    def style(self) -> float:
        """The mean style loss."""
        return float(self.styles.mean())

    def share_no_worse(self, than: "Quality") -> float:
        """The share of pairs whose total is no greater than another method's, 0 to 1."""
        return float((self.totals <= than.totals).mean())


def measure(net: Stylizer, vgg: nn.Module, pairs: FixedPairs, weighting: Weighting) -> Quality:
    """The losses of a network's pictures, rounded to bytes as they are served.

    Args:
        net: in evaluation mode.
        vgg: gives the activations of ENCODED, on the same device.
        pairs: to measure on.
        weighting: of the losses.
    """
    device = next(net.parameters()).device
    found = []
    for at in range(len(pairs)):
        pair = pairs[at]
        content, style = (images[None].to(device) for images in (pair.content, pair.style))
        found.append(judge(stylized(net, content, style), content, style, vgg))
    return gathered_quality(found, weighting)


@torch.inference_mode()
def stylized(net: Stylizer, content: Tensor, style: Tensor) -> Tensor:
    """The network's pictures of pairs, ``uint8[N, S, S, 3]`` all."""
    return images_of(net(pixels_of(content), net.code(pixels_of(style))))


@torch.inference_mode()
def judge(made: Tensor, content: Tensor, style: Tensor, vgg: nn.Module) -> Losses:
    """The losses of pictures, ``uint8[N, S, S, 3]`` all."""
    pixels = pixels_of(made)
    return Aim.of(vgg(pixels_of(content)), vgg(pixels_of(style))).losses(vgg(pixels), pixels)


def gathered_quality(found: list[Losses], weighting: Weighting) -> Quality:
    """The losses of single pictures, put together."""
    columns = (
        torch.cat([losses.total(weighting) for losses in found]),
        torch.cat([losses.content for losses in found]),
        torch.cat([losses.style for losses in found]),
    )
    return Quality(*(column.double().cpu().numpy() for column in columns))
