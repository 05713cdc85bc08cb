"""``sightline-train classify`` and the presets: train, say how it went, export."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from training import running
from training.running import Steps
from training.tasks.classify.config import Classify
from training.tasks.classify.publish import publish
from training.tasks.classify.train import Results, train


def run(config: Classify, console: Console, arguments: Sequence[str]) -> None:
    """Train, write ``results.json``, and export the best network.

    Args:
        config: what to train.
        console: to report on.
        arguments: of the command line, for the model card.
    """
    running.run(
        config,
        console,
        arguments,
        Steps(train, _table, publish, "curves, augmented pictures, history"),
    )


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
