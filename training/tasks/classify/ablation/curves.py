"""The errors of all variations over the epochs, as lines."""

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from training.run import replacing
from training.tasks.classify.ablation.scores import Point, Row

#: More lines than this in one panel cannot be told apart.
_MOST_LINES = 6
_COLUMNS = 4
#: Smaller errors, in percent, are drawn as this: a logarithmic axis has no zero.
_LEAST = 0.1
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_OWN, _BASE = "#1f5a93", "#aaaaaa"

_Style = Literal["-", "--"]
_STYLES: tuple[tuple[_Style, str], ...] = (("-", "held-out"), ("--", "training"))
_Of = Callable[[Point], float | None]


def plot_curves(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw training and held-out error after every epoch: means over the seeds, and their range.

    Few variations share two panels, one for each error; of many, each has a panel with the
    baseline's curves beside its own.

    Args:
        rows: the baseline first.
        path: of the picture to write; its suffix says the format.
        title: over the whole.
    """
    drawing = _shared(rows) if len(rows) <= _MOST_LINES else _separate(rows)
    drawing.suptitle(title, parse_math=False)
    with replacing(path) as temporary:
        drawing.savefig(temporary, dpi=110)


def _shared(rows: Sequence[Row]) -> Drawing:
    drawing = Drawing(figsize=(10, 4.6), layout="constrained")
    panels = drawing.subplots(1, 2, sharey=True)
    handles = []
    for axes, name, of in zip(
        panels, ("training", "held-out"), (_training, _held_out), strict=True
    ):
        for number, row in enumerate(rows):
            _line(axes, row, of, f"C{number}", "-")
        _finish(axes, f"{name} error (%)", rows)
    for number, row in enumerate(rows):
        handles.append(Line2D([], [], color=f"C{number}", label=_label(row)))
    drawing.legend(handles=handles, loc="outside lower center", ncols=len(rows))
    return drawing


def _separate(rows: Sequence[Row]) -> Drawing:
    lines = math.ceil(len(rows) / _COLUMNS)
    drawing = Drawing(figsize=(3.1 * _COLUMNS, 2.6 * lines + 0.8), layout="constrained")
    grid = drawing.subplots(lines, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    for axes, row in zip(grid.flat, rows, strict=False):
        for one, colour in ((rows[0], _BASE), (row, _OWN)):
            _line(axes, one, _held_out, colour, "-")
            _line(axes, one, _training, colour, "--")
        _finish(axes, _label(row), rows)
        axes.label_outer()
    for axes in list(grid.flat)[len(rows) :]:
        axes.set_axis_off()
    handles = [
        Line2D([], [], color=colour, linestyle=style, label=f"{error} error (%), {whose}")
        for colour, whose in ((_OWN, "variation"), (_BASE, rows[0].variation.name))
        for style, error in _STYLES
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=4)
    return drawing


def _line(axes: Axes, row: Row, of: _Of, colour: str, style: _Style) -> None:
    by_epoch: dict[int, list[float]] = {}
    for score in row.scores:
        for point in score.curve:
            error = of(point)
            if error is not None:
                by_epoch.setdefault(point.epoch, []).append(max(error, _LEAST))
    epochs = sorted(by_epoch)
    marker = "." if len(epochs) == 1 else None
    means = [statistics.fmean(by_epoch[epoch]) for epoch in epochs]
    axes.plot(epochs, means, color=colour, linestyle=style, linewidth=1.5, marker=marker)
    if len(row.scores) > 1:
        lows, highs = ([end(by_epoch[epoch]) for epoch in epochs] for end in (min, max))
        axes.fill_between(epochs, lows, highs, color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, title: str, rows: Sequence[Row]) -> None:
    axes.set_title(title, parse_math=False, fontsize=10)
    axes.set_xlabel("epoch")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    errors = [
        max(error, _LEAST)
        for row in rows
        for score in row.scores
        for point in score.curve
        for error in (point.training_error, point.held_out_error)
        if error is not None
    ]
    if errors:
        axes.set_ylim(min(errors) * 0.8, max(errors) * 1.15)
    axes.grid(alpha=0.3)


def _label(row: Row) -> str:
    return row.variation.name + (" (diverged)" if row.diverged == len(row.scores) else "")


def _training(point: Point) -> float | None:
    return point.training_error


def _held_out(point: Point) -> float | None:
    return point.held_out_error
