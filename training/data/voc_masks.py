"""PASCAL VOC's masks: 20 everyday classes and the background.

Everingham et al., 2010, https://doi.org/10.1007/s11263-009-0275-4. VOC's own masks leave the edges
of objects void. ``SegmentationClassAug`` adds those of Hariharan et al., Semantic Contours from
Inverse Detectors, 2011, https://doi.org/10.1109/ICCV.2011.6126343, which have no such edges.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from service.palette import voc_colour
from training.data.animal_pose import MASK_CLASSES
from training.data.errors import DataError
from training.data.listing import is_hidden, of_kind, read_list
from training.data.masked import Coding, MaskedSet, by_stem, pair, sound

BACKGROUND = "background"
CLASSES = (BACKGROUND, *MASK_CLASSES)
"""The 21 classes, in the order of their values in the masks; 255 is void."""
PALETTE = tuple(voc_colour(number) for number in range(len(CLASSES)))
"""VOC's colours of them."""

_MASKS = ("SegmentationClass", "SegmentationClassAug")
_PICTURES = (".jpg", ".jpeg")
_LISTS = Path("ImageSets") / "Segmentation"
#: What lists to learn from are called that go with ``SegmentationClassAug``: these do without
#: VOC's own ``val``.
_AUGMENTED = ("trainaug", "train_aug")
#: Pictures that are to show each class before the rest is chosen.
_EACH = 8


def has_voc_masks(folder: Path) -> bool:
    """Whether masks of VOC lie anywhere below a folder."""
    return any(path.name in _MASKS for path in _folders(folder))


def read_voc_masks(folder: Path) -> dict[str, MaskedSet]:
    """Read VOC's masks and the pictures that they are of.

    Where a folder ``ImageSets/Segmentation`` lies below, as in ``VOCdevkit/VOC2012``, its lists
    divide the pictures: ``train`` and ``val``, or ``trainval`` alone. If there are masks in
    ``SegmentationClassAug``, ``train`` is ``trainaug`` or ``train_aug`` where there is such a list.
    Where there are no lists, all pictures with masks are ``train``; see ``gather_voc_masks``.

    Args:
        folder: that holds all of it, at any depth.

    Returns:
        ``train``, and ``val`` and ``test`` if there are lists of them and any masks, as there are
        none of VOC2012's ``test``; in the order of the lists.

    Raises:
        DataError: there are no pictures with masks, or several folders of lists.
    """
    found = [path / _LISTS for path in _folders(folder) if (path / _LISTS).is_dir()]
    if len(found) > 1:
        names = ", ".join(str(path.parent.parent) for path in found)
        raise DataError(f"{folder} holds several sets of VOC; name one of them: {names}")
    files = _files(folder)
    has_more = any(path.name == _MASKS[1] for path in _folders(folder))
    lists = _lists(found[0], (*_AUGMENTED, "train") if has_more else ("train",)) if found else {}
    if not lists:
        return {"train": _paired(folder, files)}
    parts = {part: read_list(path) for part, path in lists.items()}
    return {
        part: _paired(folder, files, stems)
        for part, stems in parts.items()
        if part == "train" or not files.masks.keys().isdisjoint(stems)
    }


def gather_voc_masks(folder: Path) -> MaskedSet:
    """Every JPEG below a folder that has one of VOC's masks, whatever lists there are.

    Masks are the PNGs in folders ``SegmentationClass`` and ``SegmentationClassAug``; pictures and
    masks belong together by name and size. Of several pictures, or masks, of one name the first is
    taken in the order of their paths, VOC's own masks before the others.

    Args:
        folder: that holds pictures and masks, at any depth.

    Returns:
        The pictures in the order of their names.

    Raises:
        DataError: there are no pictures with masks.
    """
    return _paired(folder, _files(folder))


def held_out_voc(masked: MaskedSet, count: int = 200) -> tuple[MaskedSet, MaskedSet]:
    """Divide VOC's pictures into those to learn from and those to measure on.

    The same pictures always give the same division, whatever their order. Held out are pictures
    whose masks have void pixels, as VOC's own have at the edges of objects: those of other authors
    are of another kind. They are taken in the order of the SHA-256 of their names, without folder
    and suffix: first, class by class, those that show the class, until 8 of the pictures taken do,
    beginning with the class that the fewest of them show (of two the first in ``classes``); then,
    in the same order, whichever are left. The background is no class here.

    Every mask is read; pictures whose masks are damaged are left out, which the faults of the rest
    tell.

    Args:
        masked: all pictures.
        count: of those to hold out.

    Returns:
        The rest and the pictures held out, both in the order in which they were.

    Raises:
        DataError: so many do not have void pixels.
    """
    masked, pixels = sound(masked)
    sizes = np.array([item.width * item.height for item in masked.items], np.int64)
    candidates = np.flatnonzero(pixels.sum(1) < sizes)
    if not 0 < count <= len(candidates):
        raise DataError(
            f"{count} pictures cannot be held out: {len(candidates)} of {len(masked)} have masks "
            "with void pixels, as VOC's own"
        )
    digests = [
        hashlib.sha256(masked.items[index].path.stem.encode()).digest() for index in candidates
    ]
    order = candidates[sorted(range(len(candidates)), key=digests.__getitem__)]
    shows = pixels > 0
    objects = [number for number, name in enumerate(masked.classes) if name != masked.background]
    taken: dict[int, None] = {}
    for number in sorted(objects, key=lambda number: int(shows[order, number].sum())):
        for index in order[shows[order, number]].tolist():
            if len(taken) == count or shows[list(taken), number].sum() >= _EACH:
                break
            taken[index] = None
    for index in order.tolist():
        if len(taken) == count:
            break
        taken[index] = None
    is_held_out = np.zeros(len(masked), np.bool_)
    is_held_out[list(taken)] = True
    rest, held_out = (masked.subset(np.flatnonzero(keep)) for keep in (~is_held_out, is_held_out))
    return rest, replace(held_out, faults=())


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and all below it but hidden ones, sorted; links are followed, none comes twice."""
    seen = set()
    for path, below, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not is_hidden(Path(name)))
        yield Path(path)


def _lists(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The list of each part; that to learn from is the first of these names that is there."""
    lists = {path.stem: path for path in folder.glob("*.txt")}
    train = next((lists[name] for name in names if name in lists), None)
    if train is None and "trainval" in lists:
        return {"train": lists["trainval"]} | {p: lists[p] for p in ("test",) if p in lists}
    if train is None:
        return {}
    return {"train": train} | {part: lists[part] for part in ("val", "test") if part in lists}


class _Files(NamedTuple):
    """Files by their names, those of one name in the order in which they are preferred."""

    pictures: dict[str, list[Path]]
    masks: dict[str, list[Path]]


def _files(folder: Path) -> _Files:
    folders = list(_folders(folder))
    masks: dict[str, list[Path]] = {}
    for name in _MASKS:
        below = (file for path in folders if path.name == name for file in of_kind(path, (".png",)))
        for stem, paths in by_stem(below).items():
            masks.setdefault(stem, []).extend(paths)
    pictures = (file for path in folders for file in of_kind(path, _PICTURES))
    return _Files(by_stem(pictures), masks)


def _paired(folder: Path, files: _Files, stems: Iterable[str] | None = None) -> MaskedSet:
    """The pictures of these names, or of all that have masks."""
    if stems is None:
        stems = sorted(files.pictures.keys() & files.masks.keys())
    try:
        items, faults = pair(stems, files.pictures, files.masks, Coding(colours=PALETTE))
    except DataError as error:
        raise DataError(
            f"{folder}: {error}; there must be JPEGs, and PNGs of the same names in folders "
            f"{' or '.join(_MASKS)}"
        ) from error
    return MaskedSet(CLASSES, items, faults, PALETTE, BACKGROUND)
