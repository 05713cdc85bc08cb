"""The errors of all variations, as bars."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from training.run import replacing
from training.tasks.classify.ablation.scores import Row

#: Bars longer than so many times the baseline's are cut off, or the others could not be compared.
_LONGEST = 2.5
_TEST, _TRAINING = "#1f5a93", "#e0943a"


def plot_bars(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw test and training error of every variation, with the deviation over its seeds.

    Args:
        rows: the baseline first; a line marks its test error.
        path: of the picture to write; its suffix says the format.
        title: over the whole.
    """
    drawing = Drawing(figsize=(8.5, 1.6 + 0.55 * len(rows)), layout="constrained")
    axes = drawing.subplots()
    base = rows[0].mean("test error")
    ends = [row.mean("test error") for row in rows] + [row.mean("training error") for row in rows]
    longest = max((end for end in ends if math.isfinite(end)), default=1.0)
    right = 1.12 * (min(longest, _LONGEST * base) if base > 0 else max(longest, 1.0))
    for place, row in enumerate(rows):
        _draw(axes, place, row, right)
    handles = [
        Line2D([], [], color=_TEST, linewidth=8, label="test"),
        Line2D([], [], color=_TRAINING, linewidth=8, label="training"),
    ]
    if math.isfinite(base):
        mark = f"test, {rows[0].variation.name}"
        handles.append(axes.axvline(base, color=_TEST, linestyle="--", linewidth=1, label=mark))
    axes.set_yticks(range(len(rows)), [row.variation.name for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, right)
    axes.set_xlabel("error (%); white figures: the bar goes on")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title(title, parse_math=False)
    drawing.legend(handles=handles, loc="outside lower center", ncols=3)
    with replacing(path) as temporary:
        drawing.savefig(temporary, dpi=120)


def _draw(axes: Axes, place: int, row: Row, right: float) -> None:
    if not row.values("test error"):
        axes.text(right * 0.01, place, "diverged", va="center")
        return
    _bar(axes, place - 0.2, row.mean("test error"), row.deviation("test error"), right, _TEST)
    training = row.mean("training error"), row.deviation("training error")
    _bar(axes, place + 0.2, *training, right, _TRAINING)


def _bar(
    axes: Axes, place: float, mean: float, deviation: float, right: float, colour: str
) -> None:
    # No deviation is drawn as none: a single training's is not known.
    whiskers = {"capsize": 2, "linewidth": 1}
    axes.barh(place, mean, 0.38, color=colour, xerr=deviation or None, error_kw=whiskers)
    text: dict[str, Any] = {"va": "center", "fontsize": 8}
    if mean > right:
        axes.text(right * 0.99, place, f"{mean:.2f}", ha="right", color="white", **text)
    else:
        axes.text(mean + deviation + right * 0.006, place, f"{mean:.2f}", ha="left", **text)
