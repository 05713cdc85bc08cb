"""Classifiers without their heads: what a captioner sees a picture with."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from service.contract import DataSource
from training.nets import architectures as classifiers
from training.nets.architecture import Architecture, ArchitectureError
from training.nets.efficientnet_lite import EfficientNetLite
from training.nets.stages import freeze_parameters, freeze_statistics
from training.pretrained import load_pretrained
from training.published import describe

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet50_keras")
_VGGS = ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn")


class Backbone(nn.Module):
    """A classifier up to the map that its head would take the mean of.

    Attributes:
        net: the classifier; its parameters have their names in it.
        architecture: of it.
    """

    def __init__(self, net: nn.Module, architecture: Architecture) -> None:
        super().__init__()
        self.net, self.architecture = net, architecture
        self._maps = _MAPS[architecture.name]

    def forward(self, pixels: Tensor) -> Tensor:
        """``float32[N, 3, H, W]``, normalised -> ``float32[N, D, h, w]``."""
        return self._maps(self.net, pixels.contiguous(memory_format=torch.channels_last))

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Prefixes of the parameters of each stage below the head, from the input on."""
        heads = {_top(prefix) for prefix in self.architecture.head}
        return tuple(stage for stage in self.architecture.stages if _top(stage[0]) not in heads)


@dataclass(frozen=True, slots=True)
class Begun:
    """A backbone with published weights.

    Attributes:
        backbone: in evaluation mode.
        source: of the weights, for a model's manifest.
        sha256: of their file.
        note: to tell the user; empty if there is nothing.
    """

    backbone: Backbone
    source: DataSource
    sha256: str
    note: str


def load(name: str, locator: str, downloads: Path | None = None) -> Begun:
    """A backbone with the weights of a classifier.

    Args:
        name: of the architecture, a key of ``BACKBONES``.
        locator: of the weights, see ``training.published``.
        downloads: a folder that may hold the file or its package already.

    Raises:
        ArchitectureError: it cannot be a backbone.
        WeightsError: the weights are not of it.
        ConversionError: the file is not what it should be.
        FileError: the file cannot be had, or has another hash than expected.
    """
    architecture = find(name)
    published = describe(locator, name)
    net = classifiers.build(name, len(published.labels) or 1000)
    loaded = load_pretrained(net, name, locator, downloads)
    for prefix in architecture.head:
        net.set_submodule(_top(prefix), nn.Identity())
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    backbone = Backbone(net, architecture).eval()
    return Begun(backbone, published.source, loaded.sha256, loaded.note)


def find(name: str) -> Architecture:
    """The architecture of a backbone.

    Raises:
        ArchitectureError: there is none of that name.
    """
    if name not in _MAPS:
        raise ArchitectureError(f"{name} cannot be a backbone; these can: {', '.join(_MAPS)}")
    return classifiers.find(name)


def tune(backbone: Backbone, tuned: int) -> None:
    """Let the last ``tuned`` stages learn, and keep all others and every statistic.

    Raises:
        ArchitectureError: there are fewer stages.
    """
    most = len(backbone.stages)
    if not 0 <= tuned <= most:
        raise ArchitectureError(
            f"{backbone.architecture.name} has {most} stages to tune, not {tuned}"
        )
    freeze_parameters(backbone.net, tuple(chain(*backbone.stages[: most - tuned])))
    freeze_statistics(backbone.net)


def places(maps: Tensor) -> Tensor:
    """``float[N, D, h, w]`` -> ``float[N, h * w, D]``, row by row."""
    return maps.flatten(2).transpose(1, 2)


def _top(prefix: str) -> str:
    """The outermost module of a parameter."""
    return prefix.partition(".")[0]


def _lite(net: nn.Module, pixels: Tensor) -> Tensor:
    assert isinstance(net, EfficientNetLite)
    return net.features(pixels)


def _features(net: nn.Module, pixels: Tensor) -> Tensor:
    maps: Tensor = net.get_submodule("features")(pixels)
    return maps


def _vgg(net: nn.Module, pixels: Tensor) -> Tensor:
    """Without the last pooling: 14x14 places of 224x224 pixels, as Show, Attend and Tell has it."""
    features = net.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    maps: Tensor = features[:-1](pixels)
    return maps


def _resnet(net: nn.Module, pixels: Tensor) -> Tensor:
    maps = pixels
    for name, module in net.named_children():
        if name == "avgpool":
            break
        maps = module(maps)
    return maps


_MAPS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    **{name: _lite for name in classifiers.ARCHITECTURES if name.startswith("efficientnet_lite")},
    "mobilenet_v2": _features,
    **dict.fromkeys(_RESNETS, _resnet),
    **dict.fromkeys(_VGGS, _vgg),
}
BACKBONES = tuple(_MAPS)
"""Names of the classifiers that can be one."""
