"""The module a classifier is exported as, and what it begins with."""

import torch
from torch import Tensor, nn

from training.nets.architecture import Normalisation
from training.nets.digits import Digits
from training.nets.pixels import LUMA, Pixels


class Classifier(nn.Module):
    """``images: uint8[N, H, W, 3]`` RGB -> ``logits: float32[N, classes]``."""

    def __init__(self, pixels: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.pixels = pixels
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, H, W, 3]`` -> ``float32[N, classes]``."""
        logits: Tensor = self.net(self.pixels(images))
        return logits


class GreyPixels(nn.Module):
    """``uint8[N, H, W, 3]`` RGB -> brightness ``float32[N, 1, H, W]``, ``(grey - mean) / std``."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, H, W, 3]`` -> ``float32[N, 1, H, W]``."""
        red, green, blue = (images[..., channel].float() for channel in range(3))
        grey = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        return (grey.unsqueeze(1) - self.mean) / self.std


class DigitPixels(nn.Module):
    """``uint8[N, 112, 112, 3]`` RGB -> a framed digit ``float32[N, 1, 28, 28]``, normalised."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.digits = Digits()
        self.mean, self.std = mean, std

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, 112, 112, 3]`` -> ``float32[N, 1, 28, 28]``."""
        ink: Tensor = self.digits(images)
        return (ink * 255 - self.mean) / self.std


def pixels(mean: Normalisation, std: Normalisation, channels: int, *, digits: bool) -> nn.Module:
    """What brings the service's pixels to a network trained with this mean and deviation."""
    if channels == 3:
        return Pixels(mean, std)
    grey_mean, grey_std = (float(torch.tensor(values).mean()) for values in (mean, std))
    return DigitPixels(grey_mean, grey_std) if digits else GreyPixels(grey_mean, grey_std)
