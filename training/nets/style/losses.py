"""What is lost between a picture, its content and its style: one number for every picture.

Content and Gram losses are those of Gatys et al. (2015, https://arxiv.org/abs/1508.06576), up to
constant factors: means rather than sums, so that they do not grow with the picture. The loss of
means and deviations is that of Huang and Belongie (2017, https://arxiv.org/abs/1703.06868).
All are computed in float32 whatever the features are.
"""

import torch
from torch import Tensor

from training.nets.style.statistics import statistics


def content_loss(features: Tensor, content: Tensor) -> Tensor:
    """Mean squared difference of features, ``float[N, C, h, w]`` each -> ``float32[N]``."""
    return (features.float() - content.float()).square().mean((1, 2, 3))


def gram(features: Tensor) -> Tensor:
    """Mean products of channels, ``float[N, C, h, w]`` -> ``float32[N, C, C]``."""
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        return flat @ flat.mT / flat.shape[-1]


def gram_loss(features: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of Gram matrices -> ``float32[N]``.

    Args:
        features: ``float[N, C, h, w]`` of the pictures.
        wanted: ``float[N, C, C]`` of the styles.
    """
    return (gram(features) - wanted.float()).square().mean((1, 2))


def statistics_loss(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Mean squared difference of channels' means, plus that of their deviations -> ``float32[N]``.

    Args:
        features: ``float[N, C, h, w]`` of the pictures.
        mean: ``float[N, C]`` of the styles.
        deviation: likewise.
    """
    own_mean, own_deviation = statistics(features)
    means = (own_mean - mean.float()).square().mean(1)
    return means + (own_deviation - deviation.float()).square().mean(1)


def total_variation(pixels: Tensor) -> Tensor:
    """Mean squared difference of neighbours, ``float[N, 3, H, W]`` in 0 to 1 -> ``float32[N]``."""
    pixels = pixels.float()
    down = (pixels[:, :, 1:] - pixels[:, :, :-1]).square().mean((1, 2, 3))
    right = (pixels[..., 1:] - pixels[..., :-1]).square().mean((1, 2, 3))
    return down + right
