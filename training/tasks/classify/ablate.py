"""``sightline-train ablate``: a recipe with one thing changed at a time."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from lightning_fabric import Fabric
from rich.console import Console
from rich.table import Table

from training.data import benchmarks
from training.devices import Devices, launch
from training.run import write_whole
from training.tasks.classify.ablation.bars import plot_bars
from training.tasks.classify.ablation.convnet import Dataset, convnet
from training.tasks.classify.ablation.curves import plot_curves
from training.tasks.classify.ablation.depth import depth
from training.tasks.classify.ablation.pictures import Pictures, divide
from training.tasks.classify.ablation.report import COLUMNS, Facts, cells, judged, markdown
from training.tasks.classify.ablation.scores import Row
from training.tasks.classify.ablation.trial import run_trial
from training.tasks.classify.ablation.variations import Family

REPORT, RESULTS = "report.md", "results.json"
BARS, CURVES = "variations.png", "curves.png"
_FOLDER = "ablate"


@dataclass(frozen=True)
class Ablate:
    """Train a recipe with one thing changed at a time; write a table and plots.

    Raises:
        ValueError: an option is out of its range.
    """

    families: tuple[Literal["convnet", "depth"], ...] = field(default=("convnet", "depth"))
    """convnet: a network of 3x3 convolutions; depth: 20 and 56 layers, plain and residual, on
    CIFAR-10."""
    dataset: Dataset = "fashion-mnist"
    """Of the family convnet."""
    data: Path | None = None
    """A folder with the files of the benchmarks."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    pictures: int | None = None
    """To train on, so many of each class; all that are not held out if left out."""
    held_out: float = 0.05
    """Share of all training pictures by which the best epoch is chosen."""
    epochs: int | None = None
    """Of each training; 20 of convnet and 164 of depth if left out."""
    batch_size: int = 128
    """Pictures a batch, over all processes."""
    seeds: int = 1
    """Trainings of each variation."""
    devices: Devices = field(default_factory=Devices)
    runs: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs")
    """Folder of all runs; an ablation writes into ablate/<family> in it."""
    resume: bool = False
    """Go on with an ablation that was interrupted; what is done already is not done again."""

    def __post_init__(self) -> None:
        for name in ("pictures", "epochs", "batch_size", "seeds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, not {self.held_out}")

    def run(self, console: Console) -> None:
        """Run the families one after the other.

        Raises:
            DataError: the pictures cannot be had or are not what they should be.
            TrainingError: a training cannot go on, or was asked to stop. One that diverges is a
                result.
            RunError: the folder holds an ablation, and it is not to be gone on with, or has other
                settings.
        """
        fabric = launch(self.devices)
        console.quiet = not fabric.is_global_zero
        for family in self._families():
            console.print(f"reading {family.dataset}", highlight=False)
            with fabric.rank_zero_first():  # one fetches, the others find it in the cache
                train, test = benchmarks.load(family.dataset, self.data, self.downloads)
            pictures = divide(family.dataset, train, test, self.held_out, self.pictures)
            rows = self.train(family, pictures, fabric, console)
            if fabric.is_global_zero:
                folder = self.runs / _FOLDER / family.name
                write(family, rows, self._facts(family, pictures, fabric), folder)
                console.print(_table(family, rows))
                console.print(f"report and plots: {folder}", highlight=False)

    def train(
        self, family: Family, pictures: Pictures, fabric: Fabric, console: Console
    ) -> list[Row]:
        """Train every variation of a family once for each seed."""
        rows = []
        for number, variation in enumerate(family.variations, 1):
            scores = []
            for seed in range(self.seeds):
                name = Path(_FOLDER, family.name, variation.name, f"seed-{seed}")
                console.print(f"{name} ({number} of {len(family.variations)})", highlight=False)
                setup, folder = variation.setup, self.runs / name
                score = run_trial(setup, pictures, seed, folder, fabric, resume=self.resume)
                if score.diverged:
                    console.print(f"{name} diverged: {score.diverged}", highlight=False)
                scores.append(score)
            rows.append(Row(variation, scores))
        return rows

    def _families(self) -> list[Family]:
        made = {
            "convnet": lambda: convnet(
                self.dataset, batch_size=self.batch_size, epochs=self.epochs
            ),
            "depth": lambda: depth(batch_size=self.batch_size, epochs=self.epochs),
        }
        return [made[name]() for name in dict.fromkeys(self.families)]

    def _facts(self, family: Family, pictures: Pictures, fabric: Fabric) -> Facts:
        processes = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
        return Facts(
            pictures=len(pictures.train),
            probe=len(pictures.probe),
            held_out=len(pictures.held_out),
            test=len(pictures.test),
            epochs=family.baseline.setup.training.epochs,
            batch_size=self.batch_size,
            seeds=self.seeds,
            precision=self.devices.precision,
            device=f"{fabric.device.type}{processes}",
        )


def write(family: Family, rows: Sequence[Row], facts: Facts, folder: Path) -> None:
    """Write ``report.md``, ``results.json`` and the two plots of a family.

    Args:
        family: what was varied.
        rows: one a variation, the baseline first.
        facts: under what they were trained.
        folder: to write to.
    """
    title = f"{family.title} on {family.dataset}"
    plot_bars(rows, folder / BARS, title)
    plot_curves(rows, folder / CURVES, title)
    results = {
        "dataset": family.dataset,
        "facts": asdict(facts),
        "variations": {row.variation.name: row.figures() for row in rows},
        "expectations": {
            name: [verdict.figures() for verdict in own] for name, own in judged(rows).items()
        },
    }
    write_whole(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    write_whole(folder / REPORT, markdown(family, rows, facts))


def _table(family: Family, rows: Sequence[Row]) -> Table:
    table = Table(*COLUMNS, title=f"{family.title} on {family.dataset}")
    for row in rows:
        table.add_row(*cells(row, rows[0]))
    return table
