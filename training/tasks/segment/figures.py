"""Pictures of how a segmentation network does: which classes it takes for which, and its masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from service.contract import InputGeometry
from training.data.mask_pictures import MaskPictures
from training.data.mask_sheet import comparison_sheet
from training.data.pictures import prepare
from training.run import replacing
from training.tasks.segment.metrics import Quality, iou
from training.tasks.segment.predict import mask_of

_DPI = 110
#: Up to as many classes the shares stand in the plot's squares.
_READABLE = 25
_DARK = 0.5


def confusion(quality: Quality, path: Path) -> None:
    """Draw what share of each class's pixels is told to be of which class, and each IoU.

    Args:
        quality: as measured.
        path: of the picture to write, whole or not at all; its suffix says the format.
    """
    pixels = quality.confusion.sum(1, keepdims=True)
    shares = quality.confusion / np.maximum(pixels, 1)
    count = len(quality.classes)
    side = max(5.0, 1.8 + 0.42 * count)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [name.replace("$", r"\$") for name in quality.classes]
    told = [
        f"{name}  {'-' if np.isnan(each) else f'{each:.2f}'}"
        for name, each in zip(names, quality.iou.tolist(), strict=True)
    ]
    axes.set_xticks(range(count), names, rotation=90)
    axes.set_yticks(range(count), told)
    axes.set(xlabel="told", ylabel="is  (IoU)")
    if count <= _READABLE:
        for row, column in np.argwhere(shares >= 0.005).tolist():
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                horizontalalignment="center",
                verticalalignment="center",
                fontsize=7,
                color="white" if share > _DARK else "black",
            )
    low, high = quality.miou_interval
    interval = "" if np.isnan(low) else f" ({low:.3f} to {high:.3f})"
    axes.set_title(
        f"mean IoU {quality.miou:.3f}{interval}, pixels {quality.pixel_accuracy:.3f}, "
        f"{quality.pictures} pictures",
        fontsize="medium",
    )
    figure.colorbar(image, ax=axes, label="share of the class's pixels", shrink=0.8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)


def masks(
    module: nn.Module,
    pictures: MaskPictures,
    confusions: Sequence[NDArray[np.int64]],
    path: Path,
    count: int = 12,
) -> None:
    """Draw pictures, their masks and what is told of them, from the best told to the worst.

    Args:
        module: a ``Segmenter``, in evaluation mode.
        pictures: as measured on.
        confusions: ``int64[C, C]``, one a picture.
        path: of the picture to write, whole or not at all; its suffix says the format.
        count: how many to show at most, evenly from all.
    """
    each = np.array([float(np.nanmean(iou(matrix))) for matrix in confusions if matrix.any()])
    known = np.flatnonzero([matrix.any() for matrix in confusions])
    if not len(known):
        return
    order = known[np.argsort(-each, kind="stable")]
    ranked = np.sort(each)[::-1]
    chosen = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    rows = []
    for at in chosen.tolist():
        index = int(order[at])
        item = pictures.masked.items[index]
        whole = InputGeometry(height=item.height, width=item.width, resize="squash")
        rows.append(
            (
                prepare(item.path, whole),
                pictures.original(index)[0],
                mask_of(module, pictures, index),
                f"{item.path.name}: mean IoU {ranked[at]:.2f}",
            )
        )
    sheet = comparison_sheet(rows, pictures.masked.colours, pictures.masked.classes)
    with replacing(path) as temporary:
        sheet.save(temporary)
