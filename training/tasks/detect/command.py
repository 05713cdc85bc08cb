"""``sightline-train detect`` and the presets: train, say how it went, export."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from training import running
from training.running import Steps
from training.tasks.detect.config import Detect
from training.tasks.detect.publish import publish
from training.tasks.detect.train import CURVES, SHEET, WORST, Results, train


def run(config: Detect, console: Console, arguments: Sequence[str]) -> None:
    """Train, write ``results.json``, and export the detector.

    Args:
        config: what to train.
        console: to report on.
        arguments: of the command line, for the model card.

    Raises:
        WeightsError: the architecture needs other weights than the default ones, or as ``train``.
    """
    config = config.resolved()
    running.run(
        config,
        console,
        arguments,
        Steps(train, _table, publish, f"history, curves.png, {SHEET}, {CURVES}, {WORST}"),
    )


def _table(results: Results) -> Table:
    quality = results.quality
    table = Table("class", "objects", "AP at 0.5", "AP", title=f"{results.gathered.dataset}, test")
    for name, objects, ap50, ap in zip(
        quality.classes,
        quality.objects,
        quality.average_precision50,
        quality.average_precision,
        strict=True,
    ):
        table.add_row(name, str(objects), f"{ap50:.3f}", f"{ap:.3f}")
    table.add_section()
    low, high = quality.map50_interval
    lowest, highest = quality.map_interval
    table.add_row(
        "mean",
        str(quality.objects.sum()),
        f"{quality.map50:.3f} ({low:.3f} to {high:.3f})",
        f"{quality.map:.3f} ({lowest:.3f} to {highest:.3f})",
    )
    return table
