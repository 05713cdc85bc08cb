"""Every detector by name, and building one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn
from torchvision.models import detection
from torchvision.models.detection import FasterRCNN

from training.nets.architecture import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ArchitectureError,
    Normalisation,
)
from training.nets.detection.detector import Detector
from training.nets.detection.light import light
from training.nets.efficientnet_lite import SCALES, block_stages
from training.nets.stages import first_stages, freeze_parameters, freeze_statistics

#: Overlap above which the graph drops the weaker of two boxes of one class; requests ask for less.
GRAPH_IOU = 0.6
#: Score below which the graph drops a box.
GRAPH_SCORE = 0.05
_BODY = "backbone.body."
_HEADS = ("backbone.fpn", "rpn", "roi_heads")


@dataclass(frozen=True, slots=True)
class DetectorArchitecture:
    """One detector.

    Attributes:
        name: its key in ARCHITECTURES.
        make: the parts, for a number of classes with the background.
        stages: groups of prefixes from the input to the output, the heads last; together they
            hold every parameter once. For learning rates by depth and for freezing.
        mean: taken off a pixel 0..255 before ``std`` divides it.
        std: see ``mean``.
        pad_value: of the pixels beside a picture, near ``mean``.
        size: side of the square pictures it is made for, in pixels.
        classifier: the network of ``training.nets.architectures`` that its body is of; ``None``
            where there is none here, and only whole detectors can be loaded.
        published: the torchvision weights it loads, such as
            ``FasterRCNN_ResNet50_FPN_V2_Weights``; empty if there are none.
        published_eps: what those add to the variance in batch normalisation.
    """

    name: str
    make: Callable[[int], FasterRCNN]
    stages: tuple[tuple[str, ...], ...]
    mean: Normalisation
    std: Normalisation
    pad_value: int
    size: int
    classifier: str | None
    published: str = ""
    published_eps: float = 1e-5


def build(name: str, classes: int) -> Detector:
    """Build a detector with random weights.

    The body's running statistics stay as they are, as batches of detection are too small to tell
    them; load published weights before training.

    Args:
        name: a key of ARCHITECTURES.
        classes: without the background.

    Raises:
        ArchitectureError: there is no such detector.
    """
    detector = Detector(find(name).make(classes + 1))
    freeze_statistics(detector.backbone.body)
    return detector


def find(name: str) -> DetectorArchitecture:
    """The architecture of a name.

    Raises:
        ArchitectureError: there is none.
    """
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ArchitectureError(f"there is no detector {name}; there are {known}")
    return ARCHITECTURES[name]


def freeze_first(net: nn.Module, architecture: DetectorArchitecture, stages: int) -> None:
    """Keep the parameters of the first stages as they are; the heads always learn.

    Raises:
        ArchitectureError: there are not so many stages below the heads.
    """
    first, _ = first_stages(architecture.name, architecture.stages, stages)
    freeze_parameters(net, first)


def _light(classifier: str) -> DetectorArchitecture:
    def make(classes: int) -> FasterRCNN:
        return light(classifier, classes, box_nms_thresh=GRAPH_IOU, box_score_thresh=GRAPH_SCORE)

    blocks = (
        tuple(f"{_BODY}_blocks.{index}" for index in stage)
        for stage in block_stages(SCALES[classifier])
    )
    return DetectorArchitecture(
        f"{classifier}-fpn",
        make,
        stages=((f"{_BODY}_conv_stem", f"{_BODY}_bn0"), *blocks, _HEADS),
        mean=127.0,
        std=128.0,
        pad_value=127,
        size=384,
        classifier=classifier,
    )


def _torchvision(
    name: str,
    builder: Callable[..., FasterRCNN],
    stages: tuple[tuple[str, ...], ...],
    published: str,
    *,
    size: int,
    classifier: str | None = None,
    published_eps: float = 1e-5,
) -> DetectorArchitecture:
    def make(classes: int) -> FasterRCNN:
        return builder(
            weights=None,
            weights_backbone=None,
            num_classes=classes,
            trainable_backbone_layers=None,
            box_nms_thresh=GRAPH_IOU,
            box_score_thresh=GRAPH_SCORE,
        )

    return DetectorArchitecture(
        name,
        make,
        stages=(*stages, _HEADS),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad_value=116,
        size=size,
        classifier=classifier,
        published=published,
        published_eps=published_eps,
    )


_RESNET = (
    (f"{_BODY}conv1", f"{_BODY}bn1"),
    *((f"{_BODY}layer{number}",) for number in range(1, 5)),
)
#: The stem, then the blocks between halvings.
_MOBILENET_V3 = tuple(
    tuple(f"{_BODY}{index}" for index in range(start, end))
    for start, end in ((0, 2), (2, 4), (4, 7), (7, 13), (13, 17))
)

ARCHITECTURES: Mapping[str, DetectorArchitecture] = {
    architecture.name: architecture
    for architecture in (
        *(_light(name) for name in SCALES),
        _torchvision(
            "resnet50-fpn",
            detection.fasterrcnn_resnet50_fpn,
            _RESNET,
            "FasterRCNN_ResNet50_FPN_Weights",
            size=800,
            classifier="resnet50",
            published_eps=0.0,
        ),
        _torchvision(
            "resnet50-fpn-v2",
            detection.fasterrcnn_resnet50_fpn_v2,
            _RESNET,
            "FasterRCNN_ResNet50_FPN_V2_Weights",
            size=800,
            classifier="resnet50",
        ),
        _torchvision(
            "mobilenet_v3_large-fpn",
            detection.fasterrcnn_mobilenet_v3_large_fpn,
            _MOBILENET_V3,
            "FasterRCNN_MobileNet_V3_Large_FPN_Weights",
            size=800,
        ),
        _torchvision(
            "mobilenet_v3_large-320-fpn",
            detection.fasterrcnn_mobilenet_v3_large_320_fpn,
            _MOBILENET_V3,
            "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
            size=448,
        ),
    )
}
