"""``sightline-train detect`` and the presets: train, say how it went, export."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from training.devices import launch
from training.export import export
from training.made_by import made_by
from training.run import write_whole
from training.tasks.detect.config import Detect
from training.tasks.detect.publish import publish
from training.tasks.detect.train import CURVES, SHEET, WORST, Results, train

RESULTS = "results.json"


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
    fabric = launch(config.devices)
    console.quiet = not fabric.is_global_zero

    def say(line: str) -> None:
        # As it is, so that it can be copied: not wrapped, and no [brackets] of a path taken out.
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def report(step: str) -> None:
        say(f"{config.name}: {step}")

    results = train(config, fabric, report)
    if not fabric.is_global_zero:
        return
    folder = config.run / config.name
    write_whole(folder / RESULTS, json.dumps(results.figures(), indent=2, allow_nan=False) + "\n")
    console.print(_table(results))
    say(f"history, curves.png, {SHEET}, {CURVES}, {WORST}: {folder}")
    if config.export:
        exportable = publish(config, results, made_by(arguments))
        exported, manifest = export(exportable, config.out, report)
        say(f"{exported}: {', '.join(manifest.precisions)}")
        for metric in manifest.metrics:
            say(f"  {metric.variant} {metric.name} {metric.value:.4f}")
        say(f"serve it: sightline serve --models {config.out}")


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
