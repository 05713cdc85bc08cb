"""Every classification network by name, and building one."""

from collections.abc import Mapping

from torch import nn

from training.nets import adapted
from training.nets.architecture import (
    SCRATCH_MEAN,
    SCRATCH_STD,
    Architecture,
    ArchitectureError,
    Normalisation,
    Options,
)
from training.nets.convnet import ConvNet
from training.nets.efficientnet_lite import SCALES, SameConv2d, block_stages, efficientnet_lite
from training.nets.resnet_small import SmallResNet

__all__ = [
    "ARCHITECTURES",
    "SCRATCH_MEAN",
    "SCRATCH_STD",
    "Architecture",
    "ArchitectureError",
    "Normalisation",
    "build",
    "find",
]


def build(
    name: str,
    classes: int,
    *,
    channels: int = 3,
    small_images: bool = False,
    dropout: float | None = None,
    size: int | None = None,
) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: a key of ARCHITECTURES.
        classes: how many logits.
        channels: of the pictures, 1 or 3.
        small_images: adapt it to pictures of about 32x32 pixels.
        dropout: probability before the classifier, in place of the network's own.
        size: side of the pictures in pixels; only the ``convnet`` ones need to know.

    Returns:
        A module that takes normalised ``float32[N, channels, H, W]`` and gives
        ``float32[N, classes]`` logits; ``googlenet`` in training mode gives a named tuple
        ``(logits, aux_logits2, aux_logits1)`` instead.

    Raises:
        ArchitectureError: there is no such network, or it cannot be built as asked.
    """
    architecture = find(name)
    if small_images and not architecture.small:
        able = ", ".join(other.name for other in ARCHITECTURES.values() if other.small)
        raise ArchitectureError(f"{name} cannot be adapted to small pictures; these can: {able}")
    if dropout is not None and architecture.dropout is None:
        raise ArchitectureError(f"{name} has no dropout to set")
    options = Options(
        classes=classes,
        channels=channels,
        small_images=small_images,
        dropout=(architecture.dropout if dropout is None else dropout) or 0.0,
        size=architecture.size if size is None else size,
    )
    return architecture.build(options)


def find(name: str) -> Architecture:
    """The architecture of a name.

    Raises:
        ArchitectureError: there is none.
    """
    if name not in ARCHITECTURES:
        raise ArchitectureError(f"there is no network {name}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _convnet(name: str, widths: tuple[int, ...]) -> Architecture:
    def make(options: Options) -> nn.Module:
        return ConvNet(
            options.classes,
            channels=options.channels,
            size=options.size,
            widths=widths,
            dropout=options.dropout,
        )

    stages = tuple((f"stages.{index}",) for index in range(len(widths)))
    return Architecture(
        name,
        make,
        head=("head",),
        stages=(*stages, ("hidden",), ("head",)),
        mean=SCRATCH_MEAN,
        std=SCRATCH_STD,
        size=28,
        crop=1.0,
        dropout=0.5,
    )


def _small_resnet(name: str, depth: int, skip: bool) -> Architecture:
    def make(options: Options) -> nn.Module:
        return SmallResNet(depth, options.classes, channels=options.channels, skip=skip)

    return Architecture(
        name,
        make,
        head=("fc",),
        stages=(("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("fc",)),
        mean=SCRATCH_MEAN,
        std=SCRATCH_STD,
        size=32,
        crop=1.0,
    )


def _resnet(name: str) -> Architecture:
    def make(options: Options) -> nn.Module:
        return adapted.resnet(name, options.classes, options.channels, options.small_images)

    return Architecture(name, make, head=("fc",), stages=_RESNET_STAGES)


_RESNET_STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",), ("fc",))


def _resnet50_keras() -> Architecture:
    def make(options: Options) -> nn.Module:
        return adapted.resnet50_keras(options.classes, options.channels)

    return Architecture(
        "resnet50_keras",
        make,
        head=("fc",),
        stages=_RESNET_STAGES,
        mean=(123.68, 116.779, 103.939),
        std=1.0,
        small=False,
    )


def _vgg(name: str) -> Architecture:
    def make(options: Options) -> nn.Module:
        return adapted.vgg(
            name, options.classes, options.channels, options.small_images, options.dropout
        )

    return Architecture(name, make, head=("classifier.6",), stages=_vgg_stages(name), dropout=0.5)


#: Convolutions between poolings in each VGG: columns A, D and E of the paper's table 1.
_VGG_CONVS = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _vgg_stages(name: str) -> tuple[tuple[str, ...], ...]:
    base, _, batch_norm = name.partition("_")
    layers_per_conv = 3 if batch_norm else 2
    stages: list[tuple[str, ...]] = []
    start = 0
    for convs in _VGG_CONVS[base]:
        end = start + convs * layers_per_conv
        stages.append(tuple(f"features.{index}" for index in range(start, end)))
        start = end + 1  # past the pooling
    return (*stages, ("classifier.0",), ("classifier.3",), ("classifier.6",))


def _googlenet() -> Architecture:
    def make(options: Options) -> nn.Module:
        return adapted.googlenet(
            options.classes, options.channels, options.small_images, options.dropout
        )

    return Architecture(
        "googlenet",
        make,
        # The auxiliary heads of the published file were never trained.
        head=("fc", "aux1", "aux2"),
        stages=(
            ("conv1",),
            ("conv2", "conv3"),
            ("inception3a", "inception3b"),
            *((f"inception4{block}",) for block in "abcde"),
            ("inception5a", "inception5b"),
            ("fc", "aux1", "aux2"),
        ),
        # torchvision brings its usual mean and deviation to these with ``transform_input``.
        mean=127.5,
        std=127.5,
        dropout=0.2,
    )


def _mobilenet_v2() -> Architecture:
    def make(options: Options) -> nn.Module:
        return adapted.mobilenet_v2(
            options.classes, options.channels, options.small_images, options.dropout
        )

    # The stem, its seven stages of blocks (table 2 of the paper) and the last convolution.
    lengths = (1, 1, 2, 3, 4, 3, 3, 1, 1)
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    return Architecture(
        "mobilenet_v2",
        make,
        head=("classifier.1",),
        stages=(
            *(
                tuple(f"features.{index}" for index in range(start, start + length))
                for start, length in zip(starts, lengths, strict=True)
            ),
            ("classifier.1",),
        ),
        dropout=0.2,
    )


def _efficientnet_lite(name: str) -> Architecture:
    scale = SCALES[name]

    def make(options: Options) -> nn.Module:
        net = efficientnet_lite(name, options.classes)
        net._dropout.p = options.dropout
        if options.channels != 3:
            stem = net._conv_stem
            net._conv_stem = SameConv2d(options.channels, stem.out_channels, 3, 2, bias=False)
        return net

    return Architecture(
        name,
        make,
        head=("_fc",),
        stages=(
            ("_conv_stem", "_bn0"),
            *(tuple(f"_blocks.{index}" for index in stage) for stage in block_stages(scale)),
            ("_conv_head", "_bn1"),
            ("_fc",),
        ),
        mean=127.0,
        std=128.0,
        size=scale.size,
        crop=scale.size / (scale.size + 32),
        interpolation="bicubic",
        dropout=scale.dropout,
        small=False,
    )


ARCHITECTURES: Mapping[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        _convnet("convnet", (16, 32, 64)),
        _convnet("convnet-medium", (24, 48, 96)),
        _convnet("convnet-wide", (32, 64, 128)),
        *(_small_resnet(f"resnet{depth}", depth, skip=True) for depth in (20, 32, 44, 56)),
        *(_small_resnet(f"plain{depth}", depth, skip=False) for depth in (20, 32, 44, 56)),
        *(_vgg(name) for name in ("vgg11_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")),
        _googlenet(),
        *(_resnet(name) for name in ("resnet18", "resnet34", "resnet50")),
        _resnet50_keras(),
        _mobilenet_v2(),
        *(_efficientnet_lite(name) for name in SCALES),
    )
}
