"""Scales and shifts of many layers, told by a style's code."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Modulation(nn.Module):
    """Codes of styles to a scale and a shift for every channel of some layers.

    As the style prediction network of Ghiasi et al. (2017, https://arxiv.org/abs/1705.06830), but
    from means and deviations that are known already. It begins by changing nothing.
    """

    def __init__(self, codes: int, channels: Mapping[str, int], hidden: int) -> None:
        """Make the layers.

        Args:
            codes: numbers of all codes that are seen.
            channels: of each layer that is told, by its name.
            hidden: features in between.
        """
        super().__init__()
        self._channels = dict(channels)
        self.hidden = nn.Linear(codes, hidden)
        self.told = nn.Linear(hidden, 2 * sum(channels.values()))
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(self, codes: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Scale and shift of each layer.

        Args:
            codes: ``float[N, codes]``, not negative; their logarithms are seen, as statistics of
                channels differ by orders of magnitude.

        Returns:
            Two ``float[N, C, 1, 1]`` by the layer's name; a scale is what is added to 1.
        """
        told = self.told(torch.relu(self.hidden(torch.log1p(codes))))[..., None, None]
        parts = iter(told.split([size for size in self._channels.values() for _ in "ab"], dim=1))
        return {name: (next(parts), next(parts)) for name in self._channels}


def modulate(features: Tensor, told: tuple[Tensor, Tensor]) -> Tensor:
    """Features times one more than the scale, and the shift added."""
    scale, shift = told
    return features * (1 + scale) + shift
