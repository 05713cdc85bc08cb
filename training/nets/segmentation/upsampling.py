"""Enlarging maps by transposed convolutions that begin as bilinear interpolation."""

import torch
from torch import Tensor, nn


class Upsampling(nn.ConvTranspose2d):
    """Enlarges maps by a whole factor (Long et al., 2015, https://arxiv.org/abs/1411.4038).

    It begins as bilinear interpolation of each map alone. If it is learned, maps may come to mix;
    if not, its weights are no parameters.
    """

    def __init__(self, channels: int, factor: int, *, learned: bool) -> None:
        """Enlarge ``channels`` maps ``factor`` times, an even number.

        ``float[N, channels, h, w]`` -> ``float[N, channels, factor h, factor w]``. Beside the maps
        lie zeros, so the outermost ``factor / 2`` pixels come out closer to 0.
        """
        super().__init__(
            channels,
            channels,
            2 * factor,
            stride=factor,
            padding=factor // 2,
            groups=1 if learned else channels,
            bias=False,
        )
        kernel = bilinear(factor)
        with torch.no_grad():
            self.weight.zero_()
            for channel in range(channels):
                self.weight[channel, channel if learned else 0] = kernel
        if not learned:
            fixed = self.weight.detach()
            del self.weight
            self.register_buffer("weight", fixed, persistent=False)


def bilinear(factor: int) -> Tensor:
    """The kernel of a transposed convolution that interpolates, ``float32[2 factor, 2 factor]``."""
    side = 2 * factor
    distance = (torch.arange(side, dtype=torch.float32) - (side - 1) / 2).abs()
    ramp = 1 - distance / factor
    return ramp[:, None] * ramp[None]


def cropped(maps: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of maps: what enlarging an odd size made too many goes."""
    return maps[..., :height, :width]
