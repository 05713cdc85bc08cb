"""A picture in the style of another: what an encoder and a decoder make together, as served."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nets.style.grain import Grain
from training.nets.style.statistics import adain, style_code

MULTIPLE = 8
"""What height and width of a content are a multiple of: encoders halve them three times."""

LEAST_SIDE = 16
"""Pixels of the smallest picture."""

#: Parts of a decoder that a published one has not.
_ADDED = ("modulation", "skips")


class Encoder(Protocol):
    """From pixels to feature maps, the last of which the decoder begins with."""

    def __call__(self, pixels: Tensor) -> list[Tensor]:
        """``float[N, 3, H, W]`` in 0 to 1 -> maps, from fine to coarse; the last of H/8 x W/8."""
        ...


class Decoder(nn.Module, ABC):
    """Back to pixels."""

    @abstractmethod
    def features(self, restyled: Sequence[Tensor], codes: Tensor) -> Tensor:
        """The encoder's maps, restyled, and two codes -> all but pixels, ``float[N, C, H, W]``.

        Args:
            restyled: from fine to coarse; the last ``float[N, C, H/8, W/8]``.
            codes: ``float[N, 2K]``, the one aimed at and then the content's own.
        """

    @abstractmethod
    def pixels(self, features: Tensor) -> Tensor:
        """Those features -> ``float[N, 3, H, W]``."""


class Stylizer(nn.Module):
    """Adaptive instance normalisation between an encoder and a decoder.

    The maps of the content get the style's means and deviations (Huang and Belongie, 2017,
    https://arxiv.org/abs/1703.06868). The decoder is told those of all maps too, and what
    the content's were: without, nobody knows any more how far its features have been moved. A code
    is all that is known of a style: codes may be kept, and mixed by their weighted mean.
    """

    multiple: ClassVar[int] = MULTIPLE
    """What the sides of a content are a multiple of, and at least twice of."""

    decoder: Decoder

    def __init__(self, encoder: nn.Module, decoder: Decoder) -> None:
        """Put together an ``Encoder`` and a ``Decoder``."""
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.grain = Grain()

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Prefixes of the parameters, from the pixels to what a published decoder has not."""
        own = [name for name, _ in self.decoder.named_children()]
        added = tuple(f"decoder.{name}" for name in own if name in _ADDED)
        return ("encoder",), tuple(f"decoder.{name}" for name in own if name not in _ADDED), added

    def code(self, pixels: Tensor) -> Tensor:
        """The code of a style, ``float[N, 3, H, W]`` in 0 to 1 -> ``float32[N, K]``."""
        return style_code(self.encoder(self.seen(pixels)))

    def seen(self, pixels: Tensor) -> Tensor:
        """What the encoder is shown of a content or a style: all of it."""
        return pixels

    def forward(self, pixels: Tensor, code: Tensor, alpha: Tensor | None = None) -> Tensor:
        """The content in the style of a code.

        Args:
            pixels: of the content, ``float[N, 3, H, W]`` in 0 to 1; its sides as ``multiple`` has
                it.
            code: of the style, ``float[N, K]``.
            alpha: ``float[N]``, how far to go from the content's own code, 0, to the style's, 1,
                and how much of the grain to lay over it; all the way if left out.

        Returns:
            ``float[N, 3, H, W]``, in 0 to 1 but for some overshoot.
        """
        features, _ = self.restyled(pixels, code, alpha)
        return self.decoder.pixels(features)

    def restyled(self, pixels: Tensor, code: Tensor, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the decoder's last convolution makes the pixels of, and the two codes it was told.

        Args:
            pixels: as ``forward`` takes them, and what follows as well.
            code: likewise.
            alpha: likewise.
        """
        levels = self.encoder(self.grain(self.seen(pixels), alpha))
        own = style_code(levels)
        if alpha is not None:
            code = own + alpha[:, None] * (code - own)
        aims = torch.split(code, [2 * level.shape[1] for level in levels], dim=1)
        restyled = [
            adain(level, *aim.chunk(2, dim=1)) for level, aim in zip(levels, aims, strict=True)
        ]
        codes = torch.cat((code, own), dim=1)
        return self.decoder.features(restyled, codes), codes


class Encode(nn.Module):
    """The graph of a style: ``images: uint8[N, H, W, 3]`` -> ``code: float32[N, K]``."""

    def __init__(self, stylizer: Stylizer) -> None:
        """Take the encoder of a stylizer."""
        super().__init__()
        self.stylizer = stylizer

    def forward(self, images: Tensor) -> Tensor:
        """The code of each picture, of any height and width of LEAST_SIDE or more."""
        return self.stylizer.code(padded(pixels_of(images), self.stylizer.multiple))


class Main(nn.Module):
    """The graph of a content: any height and width of LEAST_SIDE or more, and back again."""

    def __init__(self, stylizer: Stylizer) -> None:
        """Take a stylizer."""
        super().__init__()
        self.stylizer = stylizer

    def forward(self, images: Tensor, code: Tensor, alpha: Tensor) -> Tensor:
        """The pictures restyled, of the same size.

        Args:
            images: ``uint8[N, H, W, 3]``.
            code: ``float32[N, K]``.
            alpha: ``float32[N]``, 0 to 1.

        Returns:
            ``uint8[N, H, W, 3]``.
        """
        pixels = padded(pixels_of(images), self.stylizer.multiple)
        restyled = self.stylizer(pixels, code, alpha)
        return images_of(_cut(_cut(restyled, 2, images.shape[1]), 3, images.shape[2]))


def pixels_of(images: Tensor) -> Tensor:
    """``uint8[N, H, W, 3]`` -> ``float32[N, 3, H, W]`` in 0 to 1."""
    return images.permute(0, 3, 1, 2).float() / 255


def images_of(pixels: Tensor) -> Tensor:
    """``float[N, 3, H, W]`` -> ``uint8[N, H, W, 3]``; what is below 0 or above 1 is cut off."""
    levels = (pixels.float() * 255).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)


def padded(pixels: Tensor, multiple: int = MULTIPLE) -> Tensor:
    """Pixels reflected at the right and lower edge, to and fro if need be.

    By indices, which is exported for free heights and widths as it is.

    Args:
        pixels: ``float[N, C, H, W]``, of sides of LEAST_SIDE or more.
        multiple: of it both sides are multiples in the end, and twice of it the least: of less,
            too little would be left to be reflected in the encoder.
    """
    return _reflect(_reflect(pixels, 2, multiple), 3, multiple)


def _reflect(pixels: Tensor, axis: int, multiple: int) -> Tensor:
    size = pixels.shape[axis]
    steps: int = torch.sym_max((size + multiple - 1) // multiple, 2)  # type: ignore[no-untyped-call]
    whole = steps * multiple
    index = torch.arange(whole, device=pixels.device)
    return pixels.index_select(axis, ((size - 1) - (index - (size - 1)).abs()).abs())


def _cut(pixels: Tensor, axis: int, size: int) -> Tensor:
    """The first so many rows or columns; by indices too, so that the exported size is plain."""
    return pixels.index_select(axis, torch.arange(size, device=pixels.device))


class ReflectedConv(nn.Conv2d):
    """A 3x3 convolution that is padded by reflection."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        """``before`` channels to ``after``."""
        super().__init__(before, after, 3, stride, padding=1, padding_mode="reflect")


def doubled(features: Tensor) -> Tensor:
    """Twice as high and wide; of the nearest pixel, which has no checkerboard."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
