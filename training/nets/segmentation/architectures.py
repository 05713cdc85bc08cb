"""Every segmentation network by name, and building one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from training.nets import architectures as classifiers
from training.nets.architecture import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ArchitectureError,
    Normalisation,
)
from training.nets.efficientnet_lite import SCALES, block_stages
from training.nets.segmentation.bodies import LiteBody, ResNetBody, VggBody
from training.nets.segmentation.dilated import DilatedFcn
from training.nets.segmentation.fcn import Fcn
from training.nets.segmentation.segnet import SegNet
from training.nets.stages import first_stages, freeze_parameters, freeze_statistics

#: Channels before the scores of a body that is not VGG's.
_HIDDEN = 128
_HEADS = ("scores", "upsamplings")


@dataclass(frozen=True, slots=True)
class SegmenterArchitecture:
    """One network.

    Attributes:
        name: its key in ARCHITECTURES.
        make: the network with random weights, for a number of classes.
        stages: groups of prefixes from the input to the output, the head last; together they
            hold every parameter once. For learning rates by depth and for freezing.
        body: prefix of the parameters that a classifier's weights fill.
        classifier: the network of ``training.nets.architectures`` whose weights those are; empty
            if there is none.
        mean: taken off a pixel 0..255 before ``std`` divides it.
        std: see ``mean``.
        pad_value: of the pixels beside a picture, near ``mean``.
        published: the torchvision weights it loads whole, such as
            ``FCN_ResNet50_Weights``; empty if there are none.
    """

    name: str
    make: Callable[[int], nn.Module]
    stages: tuple[tuple[str, ...], ...]
    body: str
    classifier: str
    mean: Normalisation = IMAGENET_MEAN
    std: Normalisation = IMAGENET_STD
    pad_value: int = 116
    published: str = ""


def build(name: str, classes: int) -> nn.Module:
    """Build a network with random weights.

    In training mode it may give auxiliary scores besides, see
    :class:`training.nets.segmentation.fcn.Fcn`.

    Args:
        name: a key of ARCHITECTURES.
        classes: to tell apart.

    Raises:
        ArchitectureError: there is no such network.
    """
    return find(name).make(classes)


def find(name: str) -> SegmenterArchitecture:
    """The architecture of a name.

    Raises:
        ArchitectureError: there is none.
    """
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ArchitectureError(f"there is no segmentation network {name}; there are {known}")
    return ARCHITECTURES[name]


def freeze_first(net: nn.Module, architecture: SegmenterArchitecture, stages: int) -> None:
    """Keep the parameters and statistics of the first stages as they are; the head always learns.

    Raises:
        ArchitectureError: there are not so many stages below the head.
    """
    first, others = first_stages(architecture.name, architecture.stages, stages)
    freeze_parameters(net, first)
    freeze_statistics(net, but=others)


def class_layers(architecture: SegmenterArchitecture) -> frozenset[str]:
    """Names of the parameters whose shape hangs on the number of classes."""
    with torch.device("meta"):  # takes neither time nor memory
        two, three = architecture.make(2).state_dict(), architecture.make(3).state_dict()
    return frozenset(name for name in two if two[name].shape != three[name].shape)


def _light(classifier: str, stride: int) -> SegmenterArchitecture:
    def make(classes: int) -> Fcn:
        body = LiteBody(classifier, stride)
        return Fcn(body, classes, skips=len(body.channels) - 1, hidden=_HIDDEN)

    blocks = (
        tuple(f"body._blocks.{index}" for index in stage)
        for stage in block_stages(SCALES[classifier])
    )
    return SegmenterArchitecture(
        f"fcn{stride}s-{classifier}",
        make,
        stages=(("body._conv_stem", "body._bn0"), *blocks, _HEADS),
        body="body.",
        classifier=classifier,
        mean=127.0,
        std=128.0,
        pad_value=127,
    )


def _vgg(skips: int) -> SegmenterArchitecture:
    return SegmenterArchitecture(
        f"fcn{32 >> skips}s-vgg16",
        lambda classes: Fcn(VggBody(), classes, skips),
        stages=(
            *(_layers("body.features", *group) for group in _VGG_GROUPS),
            ("body.conv6", "body.conv7"),
            _HEADS,
        ),
        body="body.",
        classifier="vgg16",
    )


def _resnet(name: str) -> SegmenterArchitecture:
    return SegmenterArchitecture(
        f"fcn8s-{name}",
        lambda classes: Fcn(ResNetBody(name), classes, skips=2, hidden=_HIDDEN),
        stages=(*_resnet_stages("body"), _HEADS),
        body="body.",
        classifier=name,
        mean=classifiers.find(name).mean,
        std=classifiers.find(name).std,
    )


def _dilated(name: str, published: str = "") -> SegmenterArchitecture:
    known = classifiers.ARCHITECTURES.get(name)
    return SegmenterArchitecture(
        f"fcn-{name}",
        lambda classes: DilatedFcn(name, classes),
        stages=(*_resnet_stages("backbone"), ("classifier", "aux_classifier")),
        body="backbone.",
        classifier=known.name if known else "",
        mean=known.mean if known else IMAGENET_MEAN,
        std=known.std if known else IMAGENET_STD,
        published=published,
    )


def _resnet_stages(prefix: str) -> tuple[tuple[str, ...], ...]:
    layers = ((f"{prefix}.layer{number}",) for number in range(1, 5))
    return ((f"{prefix}.conv1", f"{prefix}.bn1"), *layers)


def _layers(prefix: str, start: int, end: int) -> tuple[str, ...]:
    return tuple(f"{prefix}.{index}" for index in range(start, end))


#: The layers of VGG-16's ``features`` between poolings, without and with batch normalisation.
_VGG_GROUPS = ((0, 5), (5, 10), (10, 17), (17, 24), (24, 31))
_VGG_BN_GROUPS = ((0, 7), (7, 14), (14, 24), (24, 34), (34, 44))

_SEGNET = SegmenterArchitecture(
    "segnet",
    SegNet,
    stages=(
        *(_layers("encoder", *group) for group in _VGG_BN_GROUPS),
        ("decoder", "score"),
    ),
    body="encoder.",
    classifier="vgg16_bn",
)

ARCHITECTURES: Mapping[str, SegmenterArchitecture] = {
    architecture.name: architecture
    for architecture in (
        *(_light(name, stride) for stride in (4, 8) for name in SCALES),
        *(_vgg(skips) for skips in range(3)),
        _SEGNET,
        _resnet("resnet50"),
        _resnet("resnet50_keras"),
        _dilated("resnet50", "FCN_ResNet50_Weights"),
        _dilated("resnet50_keras"),
        _dilated("resnet101", "FCN_ResNet101_Weights"),
    )
}
