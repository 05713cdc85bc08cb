"""A stylizer that works at half the size, and what brings its pictures to the whole."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nets.style.modulation import Modulation, modulate
from training.nets.style.stylizer import MULTIPLE, Decoder, ReflectedConv, Stylizer, doubled

_WIDTH, _NARROW, _SEEN, _EDGES, _HIDDEN = 64, 32, 16, 8, 64


class Finish(nn.Module):
    """Details for a picture that was made at half the size.

    They come from the content at its whole size and from the features that the picture was made of,
    as a style's code has it. All but the last step is done at half the size: what was found there
    is doubled, and the content's own finest edges are let through where it says so. To double and
    then convolve leaves no checkerboard (Odena et al., 2016,
    https://distill.pub/2016/deconv-checkerboard), as to shuffle channels into pixels did. It begins
    by adding nothing.
    """

    def __init__(self, features: int, codes: int) -> None:
        """Make the layers.

        Args:
            features: channels of what a picture was made of.
            codes: numbers of both codes that are told.
        """
        super().__init__()
        self.seen = ReflectedConv(3, _SEEN, stride=2)
        self.first = ReflectedConv(features + _SEEN, _WIDTH)
        self.second = ReflectedConv(_WIDTH, _NARROW)
        self.edges = ReflectedConv(3, _EDGES)
        self.gates = nn.Conv2d(_NARROW, _EDGES, 1)
        self.last = ReflectedConv(_NARROW + _EDGES, 3)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)
        self.modulation = Modulation(codes, {"first": _WIDTH, "second": _NARROW}, _HIDDEN)

    def forward(self, content: Tensor, features: Tensor, codes: Tensor) -> Tensor:
        """What to add to the picture, once that is of the whole size.

        Args:
            content: ``float[N, 3, H, W]`` in 0 to 1.
            features: ``float[N, C, H/2, W/2]``.
            codes: ``float[N, codes]``.

        Returns:
            ``float[N, 3, H, W]``.
        """
        told = self.modulation(codes)
        x = torch.cat((features, functional.relu(self.seen(content))), dim=1)
        x = functional.relu(modulate(self.first(x), told["first"]))
        x = functional.relu(modulate(self.second(x), told["second"]))
        let_through = self.edges(content) * doubled(self.gates(x))
        added: Tensor = self.last(torch.cat((doubled(x), let_through), dim=1))
        return added


class HalfSize(Stylizer):
    """A stylizer that sees content and style at half their size, for a quarter of the operations.

    What it makes is enlarged, and ``Finish`` adds what is finer than that.
    """

    multiple: ClassVar[int] = 2 * MULTIPLE

    def __init__(self, encoder: nn.Module, decoder: Decoder, finish: Finish) -> None:
        """Put together the ``Encoder`` and ``Decoder`` of a stylizer, and what is finer."""
        super().__init__(encoder, decoder)
        self.finish = finish

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Prefixes of the parameters, from those of the stylizer to what finishes its pictures."""
        return (*super().stages, ("finish",))

    def seen(self, pixels: Tensor) -> Tensor:
        """A content or a style at half its size, ``float[N, 3, H/2, W/2]``."""
        return functional.avg_pool2d(pixels, 2)

    def forward(self, pixels: Tensor, code: Tensor, alpha: Tensor | None = None) -> Tensor:
        """The content in the style of a code, as with Stylizer."""
        features, codes = self.restyled(pixels, code, alpha)
        made = functional.interpolate(
            self.decoder.pixels(features), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        finish: Tensor = self.finish(pixels, features, codes)
        return made + finish
