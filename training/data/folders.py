"""Pictures in one folder per class: the simplest form of a user's own data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from service.contract import InputGeometry
from training.data.errors import DataError
from training.data.labelled import Labelled
from training.data.listing import list_parts
from training.data.pictures import PictureFiles, Report, examine

MEMORY_BYTES = 2 * 2**30
"""What the decoded pictures of a folder may take, unless the caller says otherwise."""


@dataclass(frozen=True)
class FolderData:
    """What a folder holds.

    Attributes:
        train: the pictures to learn from; all there are, unless the folder is divided.
        val: those to choose by, if the folder has such a part.
        test: those to measure on, if the folder has such a part.
        damaged: a line for every picture left out, with the name of its file and the reason.
        ignored: how many files and folders were neither pictures nor classes.
    """

    train: Labelled
    val: Labelled | None
    test: Labelled | None
    damaged: tuple[str, ...]
    ignored: int


def read_folder(
    folder: Path,
    geometry: InputGeometry,
    memory_bytes: int = MEMORY_BYTES,
    report: Report | None = None,
) -> FolderData:
    """Read ``<folder>/<class>/<picture>``, or that below ``train``, ``val`` and ``test``.

    A class is called as its folder; classes and pictures are in the order of their names.
    ``val`` may also be called ``valid`` or ``validation``; ``val`` and ``test`` may be missing.
    Every picture is decoded once now: damaged ones are left out and listed. Ignored are hidden
    entries, files that are no pictures by their suffix, and folders in the folder of a class.

    Args:
        folder: that holds the classes or the parts.
        geometry: the size of every picture and how it gets it, as in a manifest.
        memory_bytes: what the decoded pictures may take. If they fit they are kept; otherwise
            each is decoded again whenever it is asked for, best in a ``DataLoader``'s workers.
        report: told now and then how many pictures are examined, and of how many.

    Raises:
        DataError: the folder has another structure, a class has no readable picture, or
            ``geometry`` makes pictures of different sizes.
    """
    if geometry.resize == "pad_to_multiple":
        raise DataError("pad_to_multiple makes pictures of different sizes; choose another resize")
    parts = list_parts(folder)
    classes = tuple(parts["train"].classes)
    paths: list[Path] = []
    targets: list[int] = []
    spans: dict[str, range] = {}
    for name, listing in parts.items():
        start = len(paths)
        for target, label in enumerate(classes):
            paths += listing.classes[label]
            targets += [target] * len(listing.classes[label])
        spans[name] = range(start, len(paths))
    files = PictureFiles(paths, geometry)
    fits = files.bytes <= memory_bytes
    kept = torch.empty(files.shape, dtype=torch.uint8) if fits else None
    faults = examine(paths, geometry, None if kept is None else kept.numpy(), report)
    made = {}
    for name, span in spans.items():
        good = torch.tensor([at for at in span if at not in faults], dtype=torch.int64)
        labelled = Labelled(
            files if kept is None else kept, torch.tensor(targets)[good], classes, good
        )
        _check_classes(folder, name, labelled, [faults[at] for at in span if at in faults])
        made[name] = labelled
    return FolderData(
        made["train"],
        made.get("val"),
        made.get("test"),
        tuple(faults.values()),
        sum(listing.ignored for listing in parts.values()),
    )


def _check_classes(folder: Path, part: str, labelled: Labelled, faults: Sequence[str]) -> None:
    empty = [
        label
        for label, count in zip(labelled.classes, labelled.counts.tolist(), strict=True)
        if not count
    ]
    if empty:
        raise DataError(
            f"{folder}: in {part} no picture of {', '.join(empty)} can be read; "
            f"the first of {len(faults)} faults is {faults[0]}"
        )
