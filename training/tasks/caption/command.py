"""``sightline-train caption`` and the presets: train, say how it went, export."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from training import running
from training.running import Steps
from training.tasks.caption.config import Caption
from training.tasks.caption.publish import publish
from training.tasks.caption.train import ATTENTION, SHEET, Results, train


def run(config: Caption, console: Console, arguments: Sequence[str]) -> None:
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
        Steps(train, _table, publish, f"history, curves.png, {SHEET}, {ATTENTION}"),
    )


def _table(results: Results) -> Table:
    columns = ("beams", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "CIDEr", "ROUGE-L", "words")
    table = Table(*columns, title=f"{results.gathered.dataset}, test")
    for beams, quality in results.quality.items():
        table.add_row(
            f"{beams} *" if beams == results.beams else str(beams),
            *(f"{value:.1f}" for value in quality.bleu),
            f"{quality.cider:.3f}",
            f"{quality.rouge_l:.1f}",
            f"{quality.length:.1f}",
        )
    low, high = results.served.bleu4_interval
    table.caption = f"* as it is served; BLEU-4 from {low:.1f} to {high:.1f} (95 %)"
    return table
