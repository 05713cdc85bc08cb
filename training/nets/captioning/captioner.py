"""A captioner as it is served: pixels in, the likeliest captions out."""

import torch
from torch import Tensor, nn

from training.nets.captioning.backbones import places
from training.nets.captioning.beam import BeamSearch
from training.nets.pixels import Pixels

OUTPUTS = ("tokens", "lengths", "scores")
"""Of the graph, in order; ``attention`` follows if the decoder looks."""


class Captioner(nn.Module):
    """A backbone, and a beam search through what a decoder says of its features."""

    def __init__(self, backbone: nn.Module, pixels: Pixels, search: BeamSearch) -> None:
        """Put it together.

        Args:
            backbone: ``float[N, 3, H, W]`` -> ``float[N, features, h, w]``.
            pixels: how the backbone's pixels are normalised.
            search: for captions.
        """
        super().__init__()
        self.backbone, self.pixels, self.search = backbone, pixels, search

    def forward(self, images: Tensor, max_length: Tensor) -> tuple[Tensor, ...]:
        """Describe pictures.

        Args:
            images: ``uint8[N, H, W, 3]``.
            max_length: ``int32[N]``, the most words of each picture's captions.

        Returns:
            ``tokens int32[N, B, T]``, words of the vocabulary, 0 from the end on, the best caption
            first; ``lengths int32[N, B]`` words before the end; ``scores float32[N, B]``,
            log-probability over length; and from a decoder that looks ``attention
            float32[N, B, T, h, w]``, the weights of the places for each word.
        """
        maps = self.backbone(self.pixels(images))
        found = self.search(places(maps), max_length)
        outputs = (found.tokens.to(torch.int32), found.lengths.to(torch.int32), found.scores)
        if found.attention is None:
            return outputs
        return (*outputs, found.attention.unflatten(-1, (maps.shape[2], maps.shape[3])))
