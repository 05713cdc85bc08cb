"""What the command of every task does: train, say how it went, write figures, export."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from lightning_fabric import Fabric
from rich.console import Console
from rich.table import Table

from training.devices import Devices, launch
from training.export import export
from training.exportable import Exportable
from training.made_by import made_by
from training.run import write_whole

RESULTS = "results.json"

Report = Callable[[str], None]


class Config(Protocol):
    """What the configuration of every task has."""

    @property
    def name(self) -> str:
        """Of the model and of the run's folder."""
        ...

    @property
    def devices(self) -> Devices:
        """Where training runs."""
        ...

    @property
    def run(self) -> Path:
        """Folder of all runs."""
        ...

    @property
    def out(self) -> Path:
        """Folder of all models."""
        ...

    @property
    def export(self) -> bool:
        """Whether to write the model."""
        ...


class Results(Protocol):
    """What a training came to."""

    def figures(self) -> Mapping[str, Any]:
        """For ``results.json``; no number that JSON cannot say."""
        ...


C = TypeVar("C", bound=Config)
R = TypeVar("R", bound=Results)


@dataclass(frozen=True, slots=True)
class Steps(Generic[C, R]):
    """What a task brings to its command.

    Attributes:
        train: with a configuration, on what was launched; told where to report.
        table: of the results, to print.
        publish: describes what was trained for export, given the command that made it.
        leaves: what lies in the run's folder, in words.
    """

    train: Callable[[C, Fabric, Report], R]
    table: Callable[[R], Table]
    publish: Callable[[C, R, str], Exportable]
    leaves: str


def number_or_none(value: float) -> float | None:
    """A figure for ``results.json``: ``None`` for what JSON has no number for."""
    return float(value) if math.isfinite(value) else None


def run(config: C, console: Console, arguments: Sequence[str], steps: Steps[C, R]) -> None:
    """Train, write ``results.json``, and export what was trained.

    Args:
        config: what to train.
        console: to report on.
        arguments: of the command line, for the model card.
        steps: of the task.
    """
    fabric = launch(config.devices)
    console.quiet = not fabric.is_global_zero

    def say(line: str) -> None:
        # As it is, so that it can be copied: not wrapped, and no [brackets] of a path taken out.
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def report(step: str) -> None:
        say(f"{config.name}: {step}")

    results = steps.train(config, fabric, report)
    if not fabric.is_global_zero:
        return
    folder = config.run / config.name
    figures = json.dumps(results.figures(), indent=2, allow_nan=False)
    write_whole(folder / RESULTS, f"{figures}\n")
    console.print(steps.table(results))
    say(f"{steps.leaves}: {folder}")
    if config.export:
        exportable = steps.publish(config, results, made_by(arguments))
        exported, manifest = export(exportable, config.out, report)
        say(f"{exported}: {', '.join(manifest.precisions)}")
        for metric in manifest.metrics:
            say(f"  {metric.variant} {metric.name} {metric.value:.4f}")
        say(f"serve it: sightline serve --models {config.out}")
