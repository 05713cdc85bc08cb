"""``sightline-train classify`` and the presets: train, say how it went, export."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from training.devices import launch
from training.export import export
from training.made_by import made_by
from training.run import write_whole
from training.tasks.classify.config import Classify
from training.tasks.classify.publish import publish
from training.tasks.classify.train import Results, train

RESULTS = "results.json"


def run(config: Classify, console: Console, arguments: Sequence[str]) -> None:
    """Train, write ``results.json``, and export the best network.

    Args:
        config: what to train.
        console: to report on.
        arguments: of the command line, for the model card.
    """
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
    write_whole(folder / RESULTS, json.dumps(results.figures(), indent=2) + "\n")
    console.print(_table(results))
    say(f"curves, augmented pictures, history: {folder}")
    if config.export:
        exportable = publish(config, results, made_by(arguments))
        exported, manifest = export(exportable, config.out, report)
        say(f"{exported}: {', '.join(manifest.precisions)}")
        for metric in manifest.metrics:
            say(f"  {metric.variant} {metric.name} {metric.value:.4f}")
        say(f"serve it: sightline serve --models {config.out}")


def _table(results: Results) -> Table:
    table = Table("seed", "held out", "test top-1", title=f"{results.gathered.dataset}")
    for one in results.trained:
        table.add_row(str(one.seed), f"{one.held_out_top1:.4f}", f"{one.test_top1:.4f}")
    if len(results.trained) > 1:
        figures = results.figures()
        table.add_section()
        spread = f"{figures['mean_test_top1']:.4f} ± {figures['std_test_top1']:.4f}"
        table.add_row("mean", "", spread)
        table.add_row("together", "", f"{results.ensemble_top1:.4f}")
    return table
