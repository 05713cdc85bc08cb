"""From the pixels a graph takes to the numbers a network was trained on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Shares of red, green and blue in brightness, Rec. 601, as in Pillow's mode "L".
LUMA = (0.299, 0.587, 0.114)


class Pixels(nn.Module):
    """``uint8[N, H, W, 3]`` RGB -> ``float32[N, 3, H, W]``, ``(pixel - mean) / std``.

    One ``mean`` and ``std`` for all channels, or one each; in units of a pixel, 0 to 255. With
    one integer ``mean`` the 8-bit variant of the graph runs on the pixels themselves.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        self.mean = mean if isinstance(mean, float) else _per_channel(mean)
        self.std = std if isinstance(std, float) else _per_channel(std)

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, H, W, 3]`` -> ``float32[N, 3, H, W]``."""
        x = images.permute(0, 3, 1, 2).float()
        return (x - _on(x.device, self.mean)) / _on(x.device, self.std)


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def _on(device: torch.device, value: float | Tensor) -> float | Tensor:
    return value.to(device) if isinstance(value, Tensor) else value
