"""Pictures of how a detector does: its curves of precision and recall, and its worst pictures."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from service.contract import InputGeometry
from training.data.boxed import Boxed, BoxedSet
from training.data.pictures import prepare
from training.run import replacing
from training.tasks.detect.metrics import Detections, Quality
from training.tasks.detect.mistakes import Mistakes, describe, find_mistakes

_COLUMNS = 3
_SIDE = 480
_DPI = 110
_STYLES = ("-", "--", ":")
_TRUTH, _FOUND = "#00c040", "#e01020"


def precision_recall(quality: Quality, path: Path) -> None:
    """Draw precision over recall at IoU 0.5, a curve for each class that has objects.

    Args:
        quality: as measured.
        path: of the picture to write, whole or not at all; its suffix says the format.
    """
    known = np.flatnonzero(quality.objects > 0)
    order = known[np.argsort(-quality.average_precision50[known], kind="stable")]
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.color_sequences["tab10"]
    for place, label in enumerate(order.tolist()):
        figures = f"{quality.average_precision50[label]:.3f}  ({quality.objects[label]})"
        axes.plot(
            quality.recalls,
            np.where(quality.precisions[label] > 0, quality.precisions[label], math.nan),
            color=colours[place % len(colours)],
            linestyle=_STYLES[place // len(colours) % len(_STYLES)],
            linewidth=1.4,
            label=f"{quality.classes[label]}  {figures}".replace("$", r"\$"),
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.grid(alpha=0.3)
    low, high = quality.map50_interval
    interval = "" if math.isnan(low) else f" ({low:.3f} to {high:.3f})"
    axes.set_title(f"mAP@.5 {quality.map50:.3f}{interval}, {quality.pictures} pictures")
    if len(order):
        axes.legend(
            title="class  AP@.5  (objects)",
            fontsize="small",
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            borderaxespad=0,
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)


def worst(
    predictions: Sequence[Detections],
    truths: BoxedSet,
    path: Path,
    pictures: int = 12,
    threshold: float = 0.5,
) -> None:
    """Draw the pictures with the worst mistakes, the worst first; nothing if there are none.

    The objects are green, those missed with their names; detections are red, with label and
    score, and thin where they are right. Ignored objects are dotted.

    Args:
        predictions: one a picture, in the order of ``truths``.
        truths: the pictures' objects.
        path: of the picture to write, whole or not at all; its suffix says the format.
        pictures: how many to show at most.
        threshold: the score below which a detection counts for nothing.

    Raises:
        DataError: a picture cannot be read any more.
        ValueError: there are no pictures, or not one prediction for each.
    """
    mistakes = find_mistakes(predictions, truths, threshold)
    badness = np.array([wrong.badness for wrong in mistakes])
    order = [at for at in np.argsort(-badness, kind="stable").tolist() if badness[at] > 0]
    shown = order[:pictures]
    if not shown:
        return
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(4.6 * columns, 4.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, at in zip(grid.flat, shown, strict=False):
        item, found, wrong = truths.items[at], predictions[at], mistakes[at]
        _show(axes, item, found, wrong, truths.classes)
        words = "; ".join(describe(wrong, found, item, truths.classes))
        title = "\n".join([item.path.name, *textwrap.wrap(words, 56, max_lines=3)])
        axes.set_title(title, fontsize=8, parse_math=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)


def _show(
    axes: Axes, item: Boxed, found: Detections, wrong: Mistakes, classes: tuple[str, ...]
) -> None:
    scale = min(1, _SIDE / max(item.width, item.height))
    size = InputGeometry(
        height=max(1, round(item.height * scale)),
        width=max(1, round(item.width * scale)),
        resize="squash",
    )
    axes.imshow(prepare(item.path, size), extent=(0, item.width, item.height, 0))
    for at, (box, label) in enumerate(zip(item.boxes, item.labels, strict=True)):
        missed = at in wrong.missed
        style = ":" if item.ignored[at] else "-"
        _box(axes, box, _TRUTH, 2.4 if missed else 1.4, style)
        if missed:
            _name(axes, box, item.width, "bottom", classes[label], _TRUTH)
    for at in wrong.right:
        _box(axes, found.boxes[at], _FOUND, 0.8, "-")
    for at in wrong.false_alarms:
        _box(axes, found.boxes[at], _FOUND, 1.8, "-")
    for at in (*wrong.right, *wrong.false_alarms):
        box, name = found.boxes[at], f"{classes[found.labels[at]]} {found.scores[at]:.2f}"
        _name(axes, box, item.width, "top", name, _FOUND)


def _box(axes: Axes, box: NDArray[np.floating], colour: str, width: float, style: str) -> None:
    x_min, y_min, x_max, y_max = box.tolist()
    axes.add_patch(
        Rectangle(
            (x_min, y_min),
            x_max - x_min,
            y_max - y_min,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=style,
        )
    )


def _name(
    axes: Axes, box: NDArray[np.floating], width: int, side: str, text: str, colour: str
) -> None:
    """Write at the box's left corner, or at its right one where that is nearer to the edge."""
    from_left = box[0] <= width - box[2]
    axes.text(
        box[0] if from_left else box[2],
        box[1] if side == "top" else box[3],
        text,
        color="white",
        fontsize=5.5,
        horizontalalignment="left" if from_left else "right",
        verticalalignment=side,
        parse_math=False,
        clip_on=True,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )
