"""EfficientNet-Lite 0 to 4: EfficientNet made for phones and 8-bit arithmetic.

EfficientNet (Tan and Le, 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation,
with ReLU6 in place of swish, and with a stem, a first and last stage and a head that do not grow
with the multipliers, as the TensorFlow TPU models document it under
``models/official/efficientnet/lite``.

The parameters carry the names of the published PyTorch conversions of Google's weights
(``_conv_stem.weight`` ... ``_fc.bias``), so those files load strictly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


@dataclass(frozen=True, slots=True)
class Scale:
    """One member of the family.

    Attributes:
        width: multiplies the channels of every stage.
        depth: multiplies the blocks of every stage but the first and the last.
        size: side of the square picture it was trained for, in pixels.
        dropout: before the classifier, while training.
    """

    width: float
    depth: float
    size: int
    dropout: float


SCALES = {
    "efficientnet_lite0": Scale(1.0, 1.0, 224, 0.2),
    "efficientnet_lite1": Scale(1.0, 1.1, 240, 0.2),
    "efficientnet_lite2": Scale(1.1, 1.2, 260, 0.3),
    "efficientnet_lite3": Scale(1.2, 1.4, 280, 0.3),
    "efficientnet_lite4": Scale(1.4, 1.8, 300, 0.3),
}


@dataclass(frozen=True, slots=True)
class _Stage:
    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME``: ``ceil(size / stride)`` pixels come out.

    Where the padding is odd the extra row and column go below and to the right, which
    ``padding=`` cannot say, and at stride 2 it shifts what every later layer sees.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``float[N, C, H, W]`` -> ``float[N, C', ceil(H / stride), ceil(W / stride)]``."""
        rows = _padding(input.shape[-2], self.kernel_size[0], self.stride[0])
        columns = _padding(input.shape[-1], self.kernel_size[1], self.stride[1])
        if rows % 2 == 0 and columns % 2 == 0:
            padding = (rows // 2, columns // 2)
        else:
            padding = (0, 0)
            input = functional.pad(
                input, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
            )
        if self.groups == 1 or not _is_mixed_on_cpu(input):
            return self._convolve(input, padding)
        with torch.autocast("cpu", enabled=False):
            return self._convolve(input.float(), padding)

    def _convolve(self, input: Tensor, padding: tuple[int, int]) -> Tensor:
        return functional.conv2d(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


def _is_mixed_on_cpu(input: Tensor) -> bool:
    """Whether this is mixed precision on a CPU.

    There, what a depthwise convolution gains by 16 bits forward it loses three times backward.
    """
    return input.device.type == "cpu" and torch.is_autocast_enabled("cpu")


class InvertedResidual(nn.Module):
    """A MobileNetV2 block: widen with 1x1, filter each channel, narrow with 1x1, add the input."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(in_channels, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv2d(wide, out_channels, 1, bias=False)
        self._bn2 = _norm(out_channels)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        """``float[N, C, H, W]`` -> ``float[N, C', ceil(H / stride), ceil(W / stride)]``."""
        x = input
        if self.expands:
            x = functional.relu6(self._bn0(self._expand_conv(x)))
        x = functional.relu6(self._bn1(self._depthwise_conv(x)))
        narrow: Tensor = self._bn2(self._project_conv(x))
        return narrow + input if self.adds_input else narrow


class EfficientNetLite(nn.Module):
    """The classifier.

    Takes ``float32[N, 3, H, W]`` normalised as ``(pixel - 127) / 128`` and gives
    ``float32[N, classes]`` logits; any size of at least 32 pixels works, ``scale.size`` best.
    """

    def __init__(self, scale: Scale, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = _norm(STEM_CHANNELS)
        channels = STEM_CHANNELS
        blocks: list[nn.Module] = []
        for index, stage in enumerate(_STAGES):
            out_channels = _scaled_channels(stage.channels, scale.width)
            for repeat in range(_repeats(index, scale)):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(
                    InvertedResidual(channels, out_channels, stage.kernel, stride, stage.expansion)
                )
                channels = out_channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(channels, HEAD_CHANNELS, 1, bias=False)
        self._bn1 = _norm(HEAD_CHANNELS)
        self._dropout = nn.Dropout(scale.dropout)
        self._fc = nn.Linear(HEAD_CHANNELS, classes)

    def features(self, images: Tensor) -> Tensor:
        """``float32[N, 3, H, W]`` -> ``float32[N, 1280, ceil(H / 32), ceil(W / 32)]``."""
        x = functional.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x)))

    def forward(self, images: Tensor) -> Tensor:
        """``float32[N, 3, H, W]`` -> logits ``float32[N, classes]``."""
        pooled = self.features(images).mean(dim=(2, 3))
        logits: Tensor = self._fc(self._dropout(pooled))
        return logits


class Trunk(nn.Module):
    """A member of the family without its head, for the maps after some of its stages.

    The parameters have the names of :class:`EfficientNetLite`.

    Attributes:
        channels: of the maps, from the finest to the coarsest.
    """

    def __init__(self, name: str, taken: Sequence[int]) -> None:
        """Build it with random weights.

        Args:
            name: a key of :data:`SCALES`.
            taken: stages of blocks after which a map is taken, in order, from 0.
        """
        super().__init__()
        net = EfficientNetLite(SCALES[name])
        self._conv_stem, self._bn0, self._blocks = net._conv_stem, net._bn0, net._blocks
        stages = block_stages(SCALES[name])
        self._ends = [stages[stage][-1] for stage in taken]
        self.channels: Sequence[int] = [
            _out_channels(net.get_submodule(f"_blocks.{end}._project_conv")) for end in self._ends
        ]

    def maps(self, images: Tensor) -> list[Tensor]:
        """``float32[N, 3, H, W]`` -> maps ``float32[N, C, ceil(H / s), ceil(W / s)]``."""
        maps = []
        x = functional.relu6(self._bn0(self._conv_stem(images)))
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in self._ends:
                maps.append(x)
        return maps


def efficientnet_lite(name: str, classes: int = 1000) -> EfficientNetLite:
    """Build a member of the family by its name in :data:`SCALES`, with random weights.

    Raises:
        KeyError: there is no such member.
    """
    return EfficientNetLite(SCALES[name], classes)


def block_stages(scale: Scale) -> tuple[range, ...]:
    """The indices in ``_blocks`` of each stage, from the input to the output."""
    stages = []
    start = 0
    for index in range(len(_STAGES)):
        end = start + _repeats(index, scale)
        stages.append(range(start, end))
        start = end
    return tuple(stages)


def _out_channels(conv: nn.Module) -> int:
    assert isinstance(conv, nn.Conv2d)
    return conv.out_channels


def _repeats(index: int, scale: Scale) -> int:
    """How many blocks a stage has."""
    fixed = index in (0, len(_STAGES) - 1)
    blocks = _STAGES[index].blocks
    return blocks if fixed else math.ceil(blocks * scale.depth)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _padding(size: int, kernel: int, stride: int) -> int:
    """Rows or columns to add in all, so that ``ceil(size / stride)`` come out."""
    return max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)


def _scaled_channels(channels: int, width: float) -> int:
    """Scale and round to a multiple of 8, losing at most a tenth."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
