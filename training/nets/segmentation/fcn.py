"""Fully convolutional networks: a classifier whose scores are maps, made finer by skips.

Long, Shelhamer and Darrell, 2015, https://arxiv.org/abs/1411.4038. Each map of a classifier's body
is scored by itself; the coarsest scores are enlarged twice and added to those of the next finer
map, and so on; the finest are enlarged to the picture's size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.nets.segmentation.bodies import Body
from training.nets.segmentation.upsampling import Upsampling, cropped


class Fcn(nn.Module):
    """A body, and for each of the maps it uses a layer that scores the classes.

    In training mode it gives the scores of the picture's size and, for auxiliary losses, those of
    each coarser scale as they were before finer ones were added; in evaluation mode the first
    alone.
    """

    def __init__(self, body: Body, classes: int, skips: int, hidden: int = 0) -> None:
        """Put a network together; the layers that score begin at 0, as published.

        Args:
            body: of a classifier.
            classes: to score.
            skips: how many maps finer than the coarsest are scored: 0 is FCN-32s, 1 FCN-16s and 2
                FCN-8s on a body whose coarsest map has 1/32 of the picture's size.
            hidden: channels of a 3x3 convolution before each score, with batch normalisation, as
                light bodies need; 0 scores the maps themselves, as published.
        """
        super().__init__()
        self.body = body
        used = list(body.channels)[len(body.channels) - 1 - skips :]
        self._skipped = len(body.channels) - len(used)
        self.scores = nn.ModuleList(_scoring(channels, classes, hidden) for channels in used)
        self.upsamplings = nn.ModuleList(Upsampling(classes, 2, learned=True) for _ in range(skips))
        self.last = Upsampling(classes, body.stride * 2**self._skipped, learned=False)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``float32[N, 3, H, W]`` -> scores ``float32[N, classes, H, W]``, and in training coarser.

        Those are ``float32[N, classes, ceil(H / s), ceil(W / s)]``, the coarsest last.
        """
        height, width = images.shape[-2:]
        maps: Sequence[Tensor] = self.body(images)[self._skipped :]
        total = self.scores[-1](maps[-1])
        coarser: list[Tensor] = []
        for at in reversed(range(len(maps) - 1)):
            coarser.insert(0, total)
            score = self.scores[at](maps[at])
            enlarged = self.upsamplings[at](total)
            total = score + cropped(enlarged, score.shape[-2], score.shape[-1])
        scores = cropped(self.last(total), height, width)
        return (scores, *coarser) if self.training else scores


def _scoring(channels: int, classes: int, hidden: int) -> nn.Module:
    score = nn.Conv2d(hidden or channels, classes, 1)
    assert score.bias is not None
    with torch.no_grad():
        score.weight.zero_()
        score.bias.zero_()
    if not hidden:
        return score
    conv = nn.Conv2d(channels, hidden, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(
        conv, nn.BatchNorm2d(hidden), nn.ReLU(inplace=True), nn.Dropout2d(0.1), score
    )
