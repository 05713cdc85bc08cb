"""The module a classifier is exported as."""

from torch import Tensor, nn

from training.nets.pixels import Pixels


class Classifier(nn.Module):
    """``images: uint8[N, H, W, 3]`` RGB -> ``logits: float32[N, classes]``."""

    def __init__(self, pixels: Pixels, net: nn.Module) -> None:
        super().__init__()
        self.pixels = pixels
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, H, W, 3]`` -> ``float32[N, classes]``."""
        logits: Tensor = self.net(self.pixels(images))
        return logits
