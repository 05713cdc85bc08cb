"""``sightline-train stylize`` and the presets: train, say how it went, export."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from training import running
from training.running import Steps
from training.tasks.stylize.config import Stylize
from training.tasks.stylize.publish import publish
from training.tasks.stylize.train import SHEET, Results, train


def run(config: Stylize, console: Console, arguments: Sequence[str]) -> None:
    """Train, write ``results.json``, and export the network.

    Args:
        config: what to train.
        console: to report on.
        arguments: of the command line, for the model card.

    Raises:
        DataError: and others, as ``train``.
    """
    running.run(
        config,
        console,
        arguments,
        Steps(train, _table, publish, f"history, curves.png, {SHEET}"),
    )


def _table(results: Results) -> Table:
    quality = results.quality
    table = Table("loss", "content", "style", title=f"{len(quality.totals)} test pairs")
    table.add_row(f"{quality.loss:.3f}", f"{quality.content:.3f}", f"{quality.style:.4f}")
    table.caption = "loss: the geometric mean of the pairs' totals"
    return table
