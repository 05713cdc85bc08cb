"""A folder of pictures with boxes, in any of the forms we read."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from training.data.boxed import BoxedSet
from training.data.coco import read_coco
from training.data.errors import DataError
from training.data.held_out import hold_out
from training.data.listing import PARTS
from training.data.voc import is_voc, parts, read_voc

_Read = Callable[[Sequence[str] | None], BoxedSet]
_INSTANCES = re.compile(rf"instances_(({'|'.join(PARTS)})\d*)\.json")
_PARTS = ("train", "val", "test")
_ROBOFLOW = "_annotations.coco.json"
_LOOKED_FOR = (
    "Annotations/*.xml with the pictures in JPEGImages or images (PASCAL VOC), "
    "annotations/instances_train*.json (COCO), or train/_annotations.coco.json (Roboflow)"
)


def read_boxes(folder: Path, classes: Sequence[str] | None = None) -> dict[str, BoxedSet]:
    """Read the parts of a folder of pictures with boxes.

    Known are:

    - PASCAL VOC: ``Annotations/*.xml``, pictures in ``JPEGImages`` or ``images``, parts by the
      lists ``ImageSets/Main/{train,val,test}.txt`` (without ``train``, by ``trainval``);
    - COCO: ``instances_{train,val,test}*.json`` in ``annotations`` or directly in the folder,
      pictures in ``train2017``, ``images/train2017``, ``images/train``, ``train`` or ``images``;
    - Roboflow's export for COCO: ``{train,valid,test}/_annotations.coco.json`` among its pictures;
    - a folder that holds one such folder, as ``VOCdevkit`` holds ``VOC2012``.

    Args:
        folder: to read.
        classes: whose objects are read, in this order; others are dropped. ``None``: all.

    Returns:
        ``train``, ``val`` and ``test`` as far as the folder divides itself, otherwise ``train``
        alone. All parts have the same classes.

    Raises:
        DataError: the folder has none of these forms, cannot be read, or has no object of one of
            ``classes``.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    found = _locate(folder)
    readers = _readers(found)
    read = {part: readers[part](classes) for part in _PARTS if part in readers}
    if classes is None:
        names = dict.fromkeys(name for boxed in read.values() for name in boxed.classes)
        return {
            part: boxed.restricted_to(sorted(names) if is_voc(found) else list(names))
            for part, boxed in read.items()
        }
    counts = np.sum([boxed.counts for boxed in read.values()], axis=0)
    missing = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    if missing:
        raise DataError(f"{found} has no object called {', '.join(missing)}")
    return read


def _locate(folder: Path) -> Path:
    """The folder itself if it is a set, else the one in it that is."""
    if _readers(folder):
        return folder
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _readers(path)]
    if len(below) > 1:
        names = ", ".join(path.name for path in below)
        raise DataError(f"{folder} holds several sets; name one of them: {names}")
    if not below:
        raise DataError(f"{folder} has no boxes in a form that is read: there is no {_LOOKED_FOR}")
    return below[0]


def _readers(folder: Path) -> dict[str, _Read]:
    """What reads each part of a set; nothing if the folder is none."""
    return _voc(folder) or _coco(folder) or _roboflow(folder)


def _voc(folder: Path) -> dict[str, _Read]:
    if not is_voc(folder):
        return {}
    lists = parts(folder)
    named = {part: part for part in _PARTS if part in lists}
    if "train" not in named and "trainval" in lists:
        named = {"train": "trainval"} | {p: n for p, n in named.items() if p != "val"}
    if not named:
        return {"train": partial(read_voc, folder, None)}
    return {part: partial(read_voc, folder, name) for part, name in named.items()}


def _coco(folder: Path) -> dict[str, _Read]:
    files: dict[str, list[Path]] = {}
    for path in [*folder.glob("annotations/*.json"), *folder.glob("*.json")]:
        if match := _INSTANCES.fullmatch(path.name):
            files.setdefault(PARTS[match[2]], []).append(path)
    readers: dict[str, _Read] = {}
    for part, paths in files.items():
        if len(paths) > 1:
            names = ", ".join(sorted(path.name for path in paths))
            raise DataError(f"{folder} has several annotations for {part}; keep one of {names}")
        readers[part] = partial(_read_coco, folder, paths[0])
    return readers


def _read_coco(folder: Path, annotations: Path, classes: Sequence[str] | None) -> BoxedSet:
    stem = annotations.stem.removeprefix("instances_")
    word = stem.rstrip("0123456789")
    names = tuple(dict.fromkeys((stem, f"images/{stem}", f"images/{word}", word, "images")))
    pictures = next((folder / name for name in names if (folder / name).is_dir()), None)
    if pictures is None:
        raise DataError(
            f"{folder} must hold the pictures of {annotations.name} in {names[0]}, "
            f"{', '.join(names[1:-1])} or {names[-1]}"
        )
    return read_coco(annotations, pictures, classes)


def _roboflow(folder: Path) -> dict[str, _Read]:
    readers: dict[str, _Read] = {}
    for name, part in PARTS.items():
        if (path := folder / name / _ROBOFLOW).is_file():
            if part in readers:
                raise DataError(f"{folder} has more than one folder for {part}; keep one")
            readers[part] = partial(read_coco, path, path.parent)
    return readers


def split_boxed(boxed: BoxedSet, fraction: float, seed: int) -> tuple[BoxedSet, BoxedSet]:
    """Hold out a fraction of the pictures, chosen by chance.

    Pictures are grouped by the rarest class they show, and the same fraction of every group is
    held out, so that rare classes are on both sides. A group of two pictures or more keeps at
    least one on each side; a group of one stays in the rest, unless all are of one. The same seed
    always chooses the same pictures; their order stays. Faults stay with the rest.

    Args:
        boxed: the set to divide.
        fraction: of the pictures to hold out, between 0 and 1.
        seed: of the choice.

    Returns:
        The rest, and what is held out.

    Raises:
        DataError: the fraction is not between 0 and 1.
    """
    counts = boxed.counts
    rarest = np.array(
        [
            min(item.labels.tolist(), key=lambda x: (counts[x], x), default=-1)
            for item in boxed.items
        ],
        np.int64,
    )
    is_held_out = hold_out(rarest, fraction, seed)
    rest = boxed.subset(np.flatnonzero(~is_held_out))
    held_out = boxed.subset(np.flatnonzero(is_held_out))
    return rest, BoxedSet(held_out.classes, held_out.items)
