"""A segmentation network as it is served: pixels in, the class of every pixel out."""

import torch
from torch import Tensor, nn

from training.nets.pixels import Pixels

OUTPUTS = ("mask", "confidence")
"""Of the graph, in order."""


class Segmenter(nn.Module):
    """A network between the pixels of a picture and a mask of its classes."""

    def __init__(self, net: nn.Module, pixels: Pixels) -> None:
        """Serve ``net``, which gives scores ``float[N, classes, H, W]`` in evaluation mode."""
        super().__init__()
        self.net, self.pixels = net, pixels

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Label every pixel.

        Args:
            images: ``uint8[N, H, W, 3]``.

        Returns:
            ``mask uint8[N, H, W]``, the class with the highest score (of equal ones the first),
            and ``confidence uint8[N, H, W]``, its probability times 255, rounded.
        """
        scores = self.net(self.pixels(images)).float()
        above = scores - scores.amax(1, keepdim=True)
        confidence = 1 / above.exp().sum(1)
        return scores.argmax(1).to(torch.uint8), (confidence * 255 + 0.5).to(torch.uint8)
