"""Everything that can be chosen about training a detector."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from service.contract import Precision
from training.data.box_augment import BoxAugmentation
from training.devices import Devices
from training.nets.detection.architectures import GRAPH_IOU, GRAPH_SCORE, find
from training.optimisation import Optimisation
from training.ranges import need, need_name
from training.settings import Training
from training.weights import TABLE, WeightsError

#: What a feature pyramid halves a picture into without a remainder.
_STEP = 32
#: Of the default architecture; others begin with other weights.
_DEFAULT_WEIGHTS = "efficientnet-lite0-imagenet"


@dataclass(frozen=True)
class Detect:
    """Train a Faster R-CNN and export it for the service.

    Raises:
        ValueError: an option is out of its range, or does not go with another.
    """

    name: str = "detector"
    """Of the model; the service answers under it."""
    dataset: Literal["folder", "everyday"] = "folder"
    """What the folder holds: one data set, or those of the everyday model side by side."""
    data: Path | None = None
    """A folder in the form of PASCAL VOC, of COCO, or of Roboflow's export for COCO."""
    classes: tuple[str, ...] = ()
    """Classes to learn; all that the folder names if left out."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    architecture: str = "efficientnet_lite0-fpn"
    """Detector; resnet50-fpn and resnet50-fpn-v2 are for a GPU."""
    weights: str | None = _DEFAULT_WEIGHTS
    """Weights to start from: of a classifier (a row of the weights table, torchvision:<enum>) for
    the body, or of a detector (torchvision:FasterRCNN_..., another run's best.ckpt). Left out,
    efficientnet_lite1-fpn and efficientnet_lite2-fpn begin with the row of their own body; other
    architectures must be told."""
    size: int | None = None
    """Side of the square that pictures are fitted into; the detector's own if left out."""
    frozen_stages: int = 3
    """First stages of the body that keep the weights they start with."""
    held_out: float = 0.1
    """Share of the training pictures by which the best epoch is chosen, where there is no val."""
    test: float = 0.15
    """Share of a folder that is only measured on, where it has no test of its own."""
    threshold: float = 0.5
    """Score from which a request that names none is told of an object."""
    iou_threshold: float = 0.5
    """Overlap above which the weaker of two boxes of one class is left out, likewise."""
    optimisation: Optimisation = field(default_factory=Optimisation)
    augmentation: BoxAugmentation = field(default_factory=BoxAugmentation)
    training: Training = field(default_factory=Training)
    devices: Devices = field(default_factory=Devices)
    workers: int = 0
    """Processes that read pictures beside each that trains; 0 reads them in the same one."""
    memory_mib: int = 4096
    """Decoded pictures are kept in memory if they take no more than this."""
    run: Path = Path("runs")
    """Folder of all runs; this one writes into a folder of its name."""
    out: Path = Path("models")
    """Folder of all models."""
    export: bool = True
    """Whether to write the model to ``out`` after training."""
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    """Variants to write; fp16 is for GPUs, int8 for CPUs."""
    default: bool = False
    """Whether /detect uses the model when a request names none."""
    description: str = ""
    """What the model is, in a sentence."""
    use: str = ""
    """What the model card says it is for, and not for."""
    literature: str = ""
    """What others reach on such data, for the card."""
    data_licence: str = "unknown"
    """Of the pictures in ``data``."""
    data_url: str | None = None
    """Home of the pictures in ``data``, where they have one."""
    licence: str = "unspecified"
    """Of the model, as an SPDX identifier."""
    resume: bool = False
    """Go on with a run that was interrupted, or finish one that is done."""

    def __post_init__(self) -> None:
        need_name(self.name)
        size = _STEP if self.size is None else self.size
        need(size >= _STEP and size % _STEP == 0, "size", f"a multiple of {_STEP}", self.size)
        need(self.frozen_stages >= 0, "frozen-stages", "0 or more", self.frozen_stages)
        need(0 < self.held_out < 1, "held-out", "between 0 and 1", self.held_out)
        need(0 < self.test < 1, "test", "between 0 and 1", self.test)
        need(
            GRAPH_SCORE <= self.threshold <= 1,
            "threshold",
            f"from {GRAPH_SCORE} to 1",
            self.threshold,
        )
        need(
            0 <= self.iou_threshold <= GRAPH_IOU,
            "iou-threshold",
            f"from 0 to {GRAPH_IOU}",
            self.iou_threshold,
        )
        if "fp32" not in self.precisions:
            raise ValueError("--precisions must have fp32, of which the others are made")
        need(self.workers >= 0, "workers", "0 or more", self.workers)
        need(self.memory_mib >= 0, "memory-mib", "0 or more", self.memory_mib)
        if self.weights is None and self.frozen_stages:
            raise ValueError(
                f"--frozen-stages {self.frozen_stages} keeps published weights as they are, but "
                "--weights names none: name some, or say --frozen-stages 0"
            )

    def resolved(self) -> Self:
        """The same with weights for the architecture where the default ones are not of it.

        Raises:
            ArchitectureError: there is no such architecture.
            WeightsError: there are no weights that it begins with unless told; the message names
                some.
        """
        if self.weights != _DEFAULT_WEIGHTS:
            return self
        architecture = find(self.architecture)
        for row in TABLE.values():
            if row.architecture == architecture.classifier:
                return replace(self, weights=row.name)
        whole = f"torchvision:{architecture.published}.COCO_V1"
        raise WeightsError(
            f"{architecture.name} does not begin with {self.weights}: name others with --weights, "
            f"{whole if architecture.published else 'a file of its own or of its body'}, or begin "
            "at random with --weights None --frozen-stages 0"
        )
