"""Segmentation networks that were never trained, but tell pixels apart: no two scores alike."""

import torch
from torch import Tensor, nn

from training.nets.pixels import Pixels
from training.nets.segmentation.architectures import find
from training.nets.segmentation.bodies import VggBody
from training.nets.segmentation.fcn import Fcn
from training.nets.segmentation.segmenter import Segmenter

LIGHT, VGG, SEGNET, DILATED = "fcn4s-efficientnet_lite0", "fcn8s-vgg16", "segnet", "fcn-resnet50"
CLASSES, HIDDEN = 5, 16


def fresh(name: str = LIGHT, classes: int = CLASSES, seed: int = 9) -> nn.Module:
    """As training begins with it, but that the last two maps of VGG-16 are not 4096 deep."""
    torch.manual_seed(seed)
    return Fcn(VggBody(HIDDEN), classes, skips=2) if name == VGG else find(name).make(classes)


def random_segmenter(name: str = LIGHT, classes: int = CLASSES, seed: int = 0) -> nn.Module:
    """In evaluation mode; the statistics are those of some pictures, and no layer scores 0."""
    net = fresh(name, classes, seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=3 * module.in_channels**-0.5)
    with torch.no_grad():
        net.train()(normalised(name, painted()))
    return net.eval()


def painted(count: int = 2, height: int = 64, width: int = 96, seed: int = 0) -> Tensor:
    """Pictures of soft blots, ``uint8[count, height, width, 3]``, each another."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 7, generator=draw)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (smooth.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1)


def normalised(name: str, pictures: Tensor) -> Tensor:
    """Pictures as a network takes them, ``float32[N, 3, H, W]``."""
    normalise = Pixels(find(name).mean, find(name).std)
    images: Tensor = normalise(pictures)
    return images


def served(net: nn.Module, name: str) -> Segmenter:
    """As it is exported."""
    return Segmenter(net, Pixels(find(name).mean, find(name).std)).eval()
