"""Everything that can be chosen about training a captioner."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from training.devices import Devices
from training.optimisation import Optimisation
from training.ranges import need, need_name
from training.settings import Training

_LEAST_SIDE, _MOST_BEAMS, _MOST_WORDS = 32, 20, 100


@dataclass(frozen=True)
class Caption:
    """Train a network that describes pictures, and export it for the service.

    Raises:
        ValueError: an option is out of its range, or does not go with another.
    """

    name: str = "captioner"
    """Of the model; the service answers under it."""
    data: Path | None = None
    """A folder of pictures with captions.csv, or a copy of Flickr8k or COCO."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    network: Literal["attention", "nic"] = "attention"
    """An LSTM that looks at the picture again for every word, or one that sees it once."""
    backbone: str = "efficientnet_lite2"
    """Classifier that the picture is seen with."""
    weights: str = "efficientnet-lite2-imagenet"
    """Of the backbone: a row of the weights table, torchvision:<enum> or a file."""
    tuned_stages: int = 0
    """Last stages of the backbone that are trained too; with 0 its features are computed once."""
    height: int = 256
    """Of the network's input, in pixels; pictures are squashed to it."""
    width: int = 256
    """Of the network's input, in pixels; pictures are squashed to it."""
    views: int = 2
    """Of each picture that features are computed of: as it is, mirrored, and crops from 3 on."""
    features: Path | None = None
    """Folder that keeps computed features, gigabytes of them; within the folder of runs if left
    out."""
    hidden: int = 512
    """Size of the LSTM, and of a word."""
    dropout: float = 0.5
    """Of words, states and features, while training."""
    min_count: int = 5
    """How often a word must be in the captions to be in the vocabulary."""
    longest: int = 20
    """Words of the longest caption."""
    captions: int = 5
    """Of each picture, learned from in an epoch."""
    label_smoothing: float = 0.1
    """Share of the probability that is asked for other words than the true one."""
    own_words: float = 0.0
    """How likely, at the end of training, a word is read that the network drew itself in place of
    the true one (scheduled sampling); the chance rises from 0."""
    self_critical_epochs: int = 0
    """Last epochs in which captions are drawn and their CIDEr is raised (self-critical training)
    in place of the likelihood of true ones."""
    beams: int = 3
    """Hypotheses of the beam search: the most captions of an answer."""
    length_penalty: float = 1.0
    """Power of the length that a caption's log-probability is divided by: 0 likes short ones."""
    held_out: float = 0.1
    """Share of a folder by which the best epoch is chosen, where it has no val of its own."""
    test: float = 0.1
    """Share of a folder that is only measured on, where it has no test of its own."""
    optimisation: Optimisation = field(default_factory=lambda: Optimisation(batch_size=32))
    training: Training = field(default_factory=Training)
    devices: Devices = field(default_factory=Devices)
    workers: int = 0
    """Processes that read pictures beside each that trains; 0 reads them in the same one."""
    run: Path = Path("runs")
    """Folder of all runs; this one writes into a folder of its name."""
    out: Path = Path("models")
    """Folder of all models."""
    export: bool = True
    """Whether to write the model to ``out`` after training."""
    default: bool = False
    """Whether /caption uses the model when a request names none."""
    description: str = ""
    """What the model is, in a sentence."""
    use: str = ""
    """What the model card says it is for, and not for."""
    literature: str = ""
    """What others reach on such data, for the card."""
    data_licence: str = "unknown"
    """Of the pictures and captions in ``data``."""
    data_url: str | None = None
    """Home of the pictures in ``data``, where they have one."""
    licence: str = "unspecified"
    """Of the model, as an SPDX identifier."""
    resume: bool = False
    """Go on with a run that was interrupted, or finish one that is done."""

    def __post_init__(self) -> None:
        need_name(self.name)
        for side in ("height", "width"):
            need(getattr(self, side) >= _LEAST_SIDE, side, f"{_LEAST_SIDE} or more", self._of(side))
        need(self.tuned_stages >= 0, "tuned-stages", "0 or more", self.tuned_stages)
        need(self.views >= 1, "views", "at least 1", self.views)
        need(self.hidden >= 1, "hidden", "at least 1", self.hidden)
        need(0 <= self.dropout < 1, "dropout", "from 0 to below 1", self.dropout)
        need(self.min_count >= 1, "min-count", "at least 1", self.min_count)
        need(1 <= self.longest <= _MOST_WORDS, "longest", f"1 to {_MOST_WORDS}", self.longest)
        need(self.captions >= 1, "captions", "at least 1", self.captions)
        smoothing = self.label_smoothing
        need(0 <= smoothing < 1, "label-smoothing", "from 0 to below 1", smoothing)
        need(0 <= self.own_words <= 1, "own-words", "from 0 to 1", self.own_words)
        need(
            0 <= self.self_critical_epochs < self.training.epochs,
            "self-critical-epochs",
            f"0 to {self.training.epochs - 1}, one fewer than epochs",
            self.self_critical_epochs,
        )
        if self.self_critical_epochs and self.captions < 2:
            raise ValueError(
                "--self-critical-epochs compares the captions of a picture with each other: "
                "--captions must be at least 2"
            )
        need(1 <= self.beams <= _MOST_BEAMS, "beams", f"1 to {_MOST_BEAMS}", self.beams)
        penalty = self.length_penalty
        need(0 <= penalty <= 2, "length-penalty", "from 0 to 2", penalty)
        need(0 < self.held_out < 1, "held-out", "between 0 and 1", self.held_out)
        need(0 < self.test < 1, "test", "between 0 and 1", self.test)
        need(self.workers >= 0, "workers", "0 or more", self.workers)

    def _of(self, name: str) -> object:
        return getattr(self, name)
