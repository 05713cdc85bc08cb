"""A slim network for CPUs: an encoder of its own in place of VGG-19, a decoder to match.

After MicroAST (Wang et al., 2023, https://arxiv.org/abs/2211.15313): VGG-19 is needed in training
only. Its code is that of its own features. A 512x512 picture takes 45 billion operations, a sixth
of the full network's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nets.style.modulation import Modulation, modulate
from training.nets.style.stylizer import ReflectedConv, Stylizer, doubled

WIDTHS = (24, 48, 96, 160)
"""Channels at full size, half, a quarter and an eighth of it."""

_ENCODER_BLOCKS, _DECODER_BLOCKS, _HIDDEN = 2, 3, 256
_FAINT = 0.3


class SlimEncoder(nn.Module):
    """Convolutions that halve three times, and residual blocks at the coarsest size."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        first, *others = widths
        self.begin = ReflectedConv(3, first)
        pairs = zip(widths, others, strict=False)
        self.halving = nn.ModuleList(ReflectedConv(a, b, stride=2) for a, b in pairs)
        self.blocks = nn.ModuleList(_Block(widths[-1]) for _ in range(_ENCODER_BLOCKS))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``float[N, 3, H, W]`` in 0 to 1 -> a map of each of WIDTHS, none negative."""
        levels = [functional.relu(self.begin(pixels - 0.5))]
        for halving in self.halving:
            levels.append(functional.relu(halving(levels[-1])))
        for block in self.blocks:
            levels[-1] = functional.relu(block(levels[-1]))
        return levels


class SlimDecoder(nn.Module):
    """Residual blocks and convolutions that double three times, each normalised and restyled.

    Every normalised channel gets a scale and a shift from the code: conditional instance
    normalisation (Dumoulin et al., 2016, https://arxiv.org/abs/1610.07629). What the encoder saw at
    each size is added, restyled, by 1x1 convolutions.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        deepest, *finer = widths[::-1]
        told: dict[str, int] = {}
        for number in range(_DECODER_BLOCKS):
            for half in "ab":
                told[f"block{number}{half}"] = deepest
                self.add_module(f"block{number}{half}", ReflectedConv(deepest, deepest))
        self.skips = nn.ModuleList()
        before = deepest
        for number, after in enumerate(finer):
            self.skips.append(nn.Conv2d(after, before, 1))
            self.add_module(f"up{number}", ReflectedConv(before, after))
            told[f"up{number}"] = before = after
            if number < len(finer) - 1:
                self.add_module(f"smooth{number}", ReflectedConv(after, after))
                told[f"smooth{number}"] = after
        self.end = ReflectedConv(before, 3)
        with torch.no_grad():
            self.end.weight.mul_(_FAINT)  # so that the first pictures are grey, not glaring
        self._doublings = len(finer)
        self.modulation = Modulation(4 * sum(widths), told, _HIDDEN)

    def forward(self, restyled: Sequence[Tensor], codes: Tensor) -> Tensor:
        """Maps of all WIDTHS, the last ``float[N, C, h, w]``, and ``float[N, 2K]`` -> pixels.

        Returns:
            ``float[N, 3, 8h, 8w]``.
        """
        told = self.modulation(codes)

        def normalised(name: str, x: Tensor) -> Tensor:
            return modulate(functional.instance_norm(self.get_submodule(name)(x)), told[name])

        *finer, x = restyled
        for number in range(_DECODER_BLOCKS):
            inner = functional.relu(normalised(f"block{number}a", x))
            x = x + normalised(f"block{number}b", inner)
        for number in range(self._doublings):
            x = doubled(x) + self.skips[number](finer[-1 - number])
            x = functional.relu(normalised(f"up{number}", x))
            if number < self._doublings - 1:
                x = functional.relu(normalised(f"smooth{number}", x))
        ended: Tensor = self.end(x)
        return ended + 0.5


def slim_network(widths: tuple[int, ...] = WIDTHS) -> Stylizer:
    """The slim network with random weights.

    Args:
        widths: channels at full size, half, a quarter and an eighth of it.
    """
    return Stylizer(SlimEncoder(widths), SlimDecoder(widths))


class _Block(nn.Module):
    """Two convolutions, added to what goes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = ReflectedConv(width, width), ReflectedConv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.second(functional.relu(self.first(x)))
        return x + changed
