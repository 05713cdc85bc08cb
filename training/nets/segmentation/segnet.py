"""SegNet: a decoder that puts each maximum back where the encoder's pooling found it.

Badrinarayanan, Kendall and Cipolla, 2017, https://arxiv.org/abs/1511.00561.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from training.nets.segmentation.bodies import vgg16_features

#: Channels into and out of the convolutions of each group of the decoder, from the coarsest.
_DECODER = ((512, 512, 512, 512), (512, 512, 512, 256), (256, 256, 256, 128), (128, 128, 64))


class SegNet(nn.Module):
    """VGG-16's convolutions, batch-normalised, and their mirror image.

    Each pooling keeps where in its 2x2 pixels the maximum was; the unpooling that mirrors it puts
    the value there and zeros beside it, and the convolutions after it make these maps dense. Half
    of an odd size is rounded up, so that no row or column is lost (45 rows of a picture of 360).
    ``encoder`` has the names of ``torchvision.models.vgg16_bn().features``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = vgg16_features(batch_norm=True)
        groups = [*_DECODER, (64, 64)]
        self.decoder = nn.ModuleList(_group(channels) for channels in groups)
        self.score = nn.Conv2d(64, classes, 3, padding=1)
        for module in self.decoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """``float32[N, 3, H, W]`` -> scores ``float32[N, classes, H, W]``."""
        x, pooled = images, []
        for module in self.encoder:
            if isinstance(module, nn.MaxPool2d):
                size = x.shape[-2:]
                x, where = functional.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
                pooled.append((where, size))
            else:
                x = module(x)
        for group in self.decoder:
            where, size = pooled.pop()
            x = group(functional.max_unpool2d(x, where, [2, 2], output_size=list(size)))
        scores: Tensor = self.score(x)
        return scores


def _group(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
