"""Means and deviations of feature maps: what adaptive instance normalisation knows of a style."""

from collections.abc import Sequence

import torch
from torch import Tensor

_EPSILON = 1e-5


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel over a picture, in float32.

    The variance divides by the number of positions and has 1e-5 added, so that a flat channel can
    be divided by its deviation.

    Args:
        features: ``float[N, C, h, w]``.

    Returns:
        ``float32[N, C]`` each.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        mean = features.mean((2, 3))
        variance = (features - mean[..., None, None]).square().mean((2, 3))
        return mean, (variance + _EPSILON).sqrt()


def style_code(levels: Sequence[Tensor]) -> Tensor:
    """Means and deviations of several feature maps, side by side.

    Args:
        levels: ``float[N, C, h, w]`` each, with C of their own.

    Returns:
        ``float32[N, K]``: means and deviations of the first, then of the next; K is twice the sum
        of channels.
    """
    return torch.cat([part for level in levels for part in statistics(level)], dim=1)


def adain(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Adaptive instance normalisation: the features with other means and deviations.

    Huang and Belongie (2017, https://arxiv.org/abs/1703.06868), equation 8.

    Args:
        features: ``float[N, C, h, w]``.
        mean: of each channel from now on, ``float[N, C]``.
        deviation: likewise.

    Returns:
        ``float32[N, C, h, w]``.
    """
    own_mean, own_deviation = statistics(features)
    scale = (deviation / own_deviation)[..., None, None]
    return (features.float() - own_mean[..., None, None]) * scale + mean[..., None, None]
