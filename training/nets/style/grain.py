"""Grain laid over a content, for strokes to follow where it is flat.

Where a content is flat, a deterministic network has nothing to make strokes of but the steps
between its 256 levels: a sky of smooth colour came out in stripes, one a step. Grain of a level or
two, less than most cameras have, turns them into the texture of the style. That a feed-forward
network needs noise to synthesise texture is as in Ulyanov et al. (2016,
https://arxiv.org/abs/1603.03417).
"""

import numpy as np
import torch
from torch import Tensor, nn

DEVIATION = 1.5 / 255
"""Of the grain, in pixels of 0 to 1."""

#: Two tiles without a common divisor, so that their sum repeats after 26797 pixels only.
_SIDES = (127, 211)


class Grain(nn.Module):
    """The same grain for every picture, so that equal requests get equal answers."""

    a: Tensor
    b: Tensor

    def __init__(self) -> None:
        super().__init__()
        drawn = np.random.RandomState(0)  # whose numbers are the same with every NumPy
        for name, side in zip("ab", _SIDES, strict=True):
            tile = drawn.standard_normal((side, side)) * DEVIATION / len(_SIDES) ** 0.5
            stored = torch.from_numpy(tile.astype(np.float16).astype(np.float32))
            self.register_buffer(name, stored, persistent=False)

    def forward(self, pixels: Tensor, strength: Tensor | None = None) -> Tensor:
        """Pixels with grain.

        Args:
            pixels: ``float[N, 3, H, W]`` in 0 to 1.
            strength: ``float[N]``, share of the grain to lay over each; all of it if left out.

        Returns:
            ``float[N, 3, H, W]``, a little beyond 0 and 1 here and there.
        """
        height, width = pixels.shape[2:]
        whole = _repeated(self.a, height, width) + _repeated(self.b, height, width)
        if strength is None:
            return pixels + whole
        return pixels + strength[:, None, None, None] * whole


def _repeated(tile: Tensor, height: int, width: int) -> Tensor:
    """By indices, which is exported for free heights and widths as it is."""
    for axis, size in enumerate((height, width)):
        index = torch.arange(size, device=tile.device) % tile.shape[axis]
        tile = tile.index_select(axis, index)
    return tile
