"""Learning curves, drawn for a look rather than for a paper."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_NOT_FIGURES = ("step", "epoch", "split")
_COLUMNS = 3


def plot(history: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Draw every figure of a history over the steps, one line for each split it was taken on.

    Args:
        history: lines of ``history.jsonl``; a figure that is None leaves a gap.
        path: of the picture to write; its suffix says the format.
        title: over the whole.
    """
    names = list(dict.fromkeys(key for line in history for key in line if key not in _NOT_FIGURES))
    if not names:
        return
    rows = math.ceil(len(names) / _COLUMNS)
    columns = min(_COLUMNS, len(names))
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        _draw(axes, history, name)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


def _draw(axes: Axes, history: Sequence[Mapping[str, Any]], name: str) -> None:
    splits = list(dict.fromkeys(line["split"] for line in history if name in line))
    for split in splits:
        lines = [line for line in history if line["split"] == split and name in line]
        axes.plot(
            [line["step"] for line in lines],
            [math.nan if line[name] is None else line[name] for line in lines],
            label=split.replace("_", " "),
            marker="." if len(lines) < 40 else None,
        )
    axes.set_title(name, parse_math=False)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if len(splits) > 1:
        axes.legend()
