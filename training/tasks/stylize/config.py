"""Everything that can be chosen about training a network that stylizes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from training.devices import Devices
from training.nets.style.half_size import HalfSize
from training.optimisation import Optimisation
from training.ranges import need, need_name
from training.settings import Training
from training.tasks.stylize.objective import Weighting

PUBLISHED = "adain-decoder"
"""The row of the weights table that decoders begin with."""

_LEAST_SIDE = 64


@dataclass(frozen=True)
class Stylize:
    """Train a network that gives photographs the style of any painting, and export it.

    Raises:
        ValueError: an option is out of its range, or does not go with another.
    """

    name: str = "stylizer"
    """Of the model; the service answers under it."""
    content: tuple[Path, ...] = ()
    """Folders of photographs, with those within."""
    styles: tuple[Path, ...] = ()
    """Folders of paintings, with those within; public-domain ones from PyPI if left out."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    network: Literal["full", "slim"] = "full"
    """AdaIN between VGG-19 and a decoder, or the same at half the size and what finishes it, for
    less than a third of the operations."""
    weights: str | None = PUBLISHED
    """Weights to start from: a row of the weights table, another run's best.ckpt, or the folder of
    an exported model. A slim network takes, and keeps, those of a full one."""
    side: int = 256
    """Of the squares to learn from and to measure on, in pixels."""
    crop: int | None = None
    """Of the part of a photograph's square that a step learns from, in pixels; all of it if left
    out. Half a side costs a quarter, at the same scale."""
    views: int = 2
    """Squares of each painting, whose Gram matrices are computed once."""
    samples: int = 1000
    """Pairs of an epoch."""
    held_out: float = 0.1
    """Share of photographs and of paintings that is not learned from."""
    pairs: int = 16
    """Pairs of them to choose the best epoch by, and as many others to measure on."""
    weighting: Weighting = field(default_factory=Weighting)
    identity: float = 0.25
    """Share of a batch that learns to stay as it is, where no style is asked for."""
    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            optimizer="adam", lr=3e-4, batch_size=4, weight_decay=0.0, layer_decay=0.2
        )
    )
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
    largest_side: int = 1024
    """Of a content that the service runs, in pixels; larger ones are shrunk."""
    style_side: int = 512
    """Of a style that the service runs, likewise."""
    presets: bool = True
    """Whether the model knows styles by name: paintings from PyPI, and some that are drawn."""
    default: bool = False
    """Whether /stylize uses the model when a request names none."""
    description: str = ""
    """What the model is, in a sentence."""
    use: str = ""
    """What the model card says it is for, and not for."""
    literature: str = ""
    """What others reach, for the card."""
    content_licence: str = "unknown"
    """Of the photographs."""
    content_url: str | None = None
    """Home of the photographs, where they have one."""
    styles_licence: str = "unknown"
    """Of the paintings, where they are yours."""
    licence: str = "unspecified"
    """Of the model, as an SPDX identifier."""
    resume: bool = False
    """Go on with a run that was interrupted, or finish one that is done."""

    def __post_init__(self) -> None:
        need_name(self.name)
        multiple = HalfSize.multiple  # which is one of the full network's as well
        is_fit = self.side >= _LEAST_SIDE and self.side % multiple == 0
        need(is_fit, "side", f"a multiple of {multiple}, {_LEAST_SIDE} or more", self.side)
        if self.crop is not None:
            is_fit = _LEAST_SIDE <= self.crop <= self.side and self.crop % multiple == 0
            within = f"a multiple of {multiple}, from {_LEAST_SIDE} to the side"
            need(is_fit, "crop", within, self.crop)
        need(self.views >= 1, "views", "at least 1", self.views)
        need(self.samples >= 1, "samples", "at least 1", self.samples)
        need(0 < self.held_out < 1, "held-out", "between 0 and 1", self.held_out)
        need(self.pairs >= 1, "pairs", "at least 1", self.pairs)
        need(0 <= self.identity < 1, "identity", "from 0 to below 1", self.identity)
        need(self.workers >= 0, "workers", "0 or more", self.workers)
        for name in ("largest_side", "style_side"):
            side: int = getattr(self, name)
            need(side >= _LEAST_SIDE, name.replace("_", "-"), f"{_LEAST_SIDE} or more", side)
