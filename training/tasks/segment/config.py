"""Everything that can be chosen about training a segmentation network."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from service.contract import Precision
from training.data.mask_augment import MaskAugmentation
from training.devices import Devices
from training.nets.segmentation.architectures import find
from training.optimisation import Optimisation
from training.ranges import need, need_name
from training.settings import Training
from training.weights import TABLE, WeightsError

#: Of the default architecture; others begin with other weights.
_DEFAULT_WEIGHTS = "efficientnet-lite2-imagenet"
_LEAST = 32


@dataclass(frozen=True)
class Segment:
    """Train a segmentation network and export it for the service.

    Raises:
        ValueError: an option is out of its range, or does not go with another.
    """

    name: str = "segmenter"
    """Of the model; the service answers under it."""
    dataset: Literal["folder", "voc"] = "folder"
    """How the folder is divided: as it says itself, or 200 pictures of VOC to measure on."""
    data: Path | None = None
    """A folder of pictures and masks: images/ and masks/ with labels.txt, CamVid's or VOC's."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    architecture: str = "fcn4s-efficientnet_lite2"
    """Network; those on VGG-16, SegNet and those on ResNets are for a GPU."""
    weights: str | None = _DEFAULT_WEIGHTS
    """Weights to start from: of a classifier (a row of the weights table, torchvision:<enum>) for
    the body, or of a whole network (torchvision:FCN_..., another run's best.ckpt). Left out, an
    architecture begins with the row of its own body, where the table has one."""
    height: int = 384
    """Of the network's input, in pixels; pictures are fitted into it."""
    width: int = 384
    """Of the network's input, in pixels; pictures are fitted into it."""
    frozen_stages: int = 0
    """First stages of the body that keep the weights they start with."""
    keep_statistics: bool = False
    """Whether the body's batch normalisations keep the statistics they start with, for batches too
    small to tell them."""
    held_out: float = 0.1
    """Share of the training pictures by which the best epoch is chosen, where there is no val."""
    test: float = 0.15
    """Share of a folder that is only measured on, where it has no test of its own."""
    class_weights: float = 0.5
    """Power of what a pixel counts by the rarity of its class: 0 all alike, 1 as SegNet's paper."""
    balance: float = 0.0
    """How much likelier a picture of rare classes is drawn: 0 all alike, 1 each class as often."""
    auxiliary: float = 0.4
    """Weight of the loss on coarser scores, which exist in training only."""
    optimisation: Optimisation = field(default_factory=Optimisation)
    augmentation: MaskAugmentation = field(default_factory=MaskAugmentation)
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
    """Whether /segment uses the model when a request names none."""
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
        need(self.height >= _LEAST, "height", f"{_LEAST} or more", self.height)
        need(self.width >= _LEAST, "width", f"{_LEAST} or more", self.width)
        need(self.frozen_stages >= 0, "frozen-stages", "0 or more", self.frozen_stages)
        need(0 < self.held_out < 1, "held-out", "between 0 and 1", self.held_out)
        need(0 < self.test < 1, "test", "between 0 and 1", self.test)
        need(0 <= self.class_weights <= 1, "class-weights", "from 0 to 1", self.class_weights)
        need(0 <= self.balance <= 1, "balance", "from 0 to 1", self.balance)
        need(self.auxiliary >= 0, "auxiliary", "0 or more", self.auxiliary)
        if "fp32" not in self.precisions:
            raise ValueError("--precisions must have fp32, of which the others are made")
        need(self.workers >= 0, "workers", "0 or more", self.workers)
        need(self.memory_mib >= 0, "memory-mib", "0 or more", self.memory_mib)
        if self.weights is None and self.frozen_stages:
            raise ValueError(
                f"--frozen-stages {self.frozen_stages} keeps published weights as they are, but "
                "--weights names none: name some, or say --frozen-stages 0"
            )
        if self.weights is None and self.keep_statistics:
            raise ValueError("--keep-statistics needs --weights whose statistics to keep")

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
        begins = (architecture.classifier, architecture.classifier.removesuffix("_bn"))
        for name in begins:
            for row in TABLE.values():
                if row.architecture == name:
                    return replace(self, weights=row.name)
        whole = f"torchvision:{architecture.published}.COCO_WITH_VOC_LABELS_V1"
        raise WeightsError(
            f"{architecture.name} does not begin with {self.weights}: name others with --weights, "
            f"{whole if architecture.published else 'a file of its own or of its body'}, or begin "
            "at random with --weights None --frozen-stages 0"
        )
