"""The residual networks for CIFAR-10: He et al., 2015, section 4.2, arxiv.org/abs/1512.03385.

Three stages of 16, 32 and 64 channels at 32x32, 16x16 and 8x8 pixels, ``6n + 2`` layers deep.
The shortcuts have no parameters (option A of the paper), so the plain network of the same depth
has exactly the same ones and the comparison of the paper's figure 6 can be made again.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two 3x3 convolutions with batch normalisation and, if ``skip``, the input added to them.

    Where the block halves the picture the shortcut takes every other pixel, and the new channels
    of it are zero.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, skip: bool) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.new_channels = out_channels - in_channels
        self.skip = skip

    def forward(self, input: Tensor) -> Tensor:
        """``float32[N, C, H, W]`` -> ``float32[N, C', H / stride, W / stride]``."""
        x = functional.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        if self.skip:
            x = x + self._shortcut(input)
        return functional.relu(x)

    def _shortcut(self, input: Tensor) -> Tensor:
        if self.stride > 1:
            input = input[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            before = self.new_channels // 2
            input = functional.pad(input, (0, 0, 0, 0, before, self.new_channels - before))
        return input


class SmallResNet(nn.Module):
    """The classifier.

    Takes ``float32[N, channels, H, W]``, made for 32x32 pixels, and gives ``float32[N, classes]``
    logits.

    Args:
        depth: layers with weights; 20, 32, 44, 56 and 110 are the paper's.
        classes: how many logits.
        channels: of the pictures.
        skip: with shortcuts; without them it is the paper's plain network of the same depth.

    Raises:
        ValueError: the depth is not ``6n + 2``.
    """

    def __init__(self, depth: int, classes: int, *, channels: int = 3, skip: bool = True) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"the depth must be 6n + 2 (8, 14, 20, ...), not {depth}")
        self.conv1 = _conv3x3(channels, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], 1, blocks, skip)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], 2, blocks, skip)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], 2, blocks, skip)
        self.fc = nn.Linear(WIDTHS[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        """``float32[N, channels, H, W]`` -> logits ``float32[N, classes]``."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
        return logits


def _stage(in_channels: int, channels: int, stride: int, blocks: int, skip: bool) -> nn.Sequential:
    first = Block(in_channels, channels, stride, skip)
    return nn.Sequential(first, *(Block(channels, channels, 1, skip) for _ in range(blocks - 1)))


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
