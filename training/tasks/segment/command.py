"""``sightline-train segment`` and the presets: train, say how it went, export."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from training import running
from training.running import Steps
from training.tasks.segment.config import Segment
from training.tasks.segment.publish import publish
from training.tasks.segment.train import CONFUSION, MASKS, SHEET, Results, train


def run(config: Segment, console: Console, arguments: Sequence[str]) -> None:
    """Train, write ``results.json``, and export the network.

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
        Steps(train, _table, publish, f"history, curves.png, {SHEET}, {CONFUSION}, {MASKS}"),
    )


def _table(results: Results) -> Table:
    quality = results.quality
    table = Table("class", "share of pixels", "IoU", title=f"{results.gathered.dataset}, test")
    pixels = quality.confusion.sum(1)
    shares = (pixels / max(int(pixels.sum()), 1)).tolist()
    for name, share, iou in zip(quality.classes, shares, quality.iou.tolist(), strict=True):
        table.add_row(name, f"{share:.2%}", "-" if np.isnan(iou) else f"{iou:.3f}")
    table.add_section()
    low, high = quality.miou_interval
    table.add_row("mean", "", f"{quality.miou:.3f} ({low:.3f} to {high:.3f})")
    table.add_row("pixels that are right", "", f"{quality.pixel_accuracy:.3f}")
    return table
