"""A folder of pictures with masks, in any of the forms we read."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from service.drawing import Colour
from training.data.camvid import is_camvid, read_camvid
from training.data.errors import DataError
from training.data.held_out import hold_out
from training.data.listing import PARTS, is_hidden, of_kind, read_list
from training.data.masked import VOID, Coding, MaskedSet, by_stem, pair, sound
from training.data.pictures import SUFFIXES
from training.data.voc_masks import has_voc_masks, read_voc_masks

_PICTURES, _MASKS, _LABELS = "images", "masks", "labels.txt"
_PARTS = ("train", "val", "test")
_VOID, _BACKGROUND = "void", "background"
_LINE = re.compile(r"(?P<name>(?!#).*?)(\s+#(?P<colour>[0-9a-fA-F]{6}))?")
_LOOKED_FOR = (
    f"{_PICTURES}, {_MASKS} and {_LABELS} (your own pictures, or these in train, val and test), "
    "trainannot (CamVid in SegNet's edition), or SegmentationClass (PASCAL VOC)"
)


@dataclass(frozen=True, slots=True)
class Labels:
    """What a file of labels says.

    Attributes:
        classes: their names.
        coding: what stands for each in the masks.
    """

    classes: tuple[str, ...]
    coding: Coding


def read_masks(folder: Path) -> dict[str, MaskedSet]:
    """Read the parts of a folder of pictures with masks.

    Known are:

    - your own: ``images``, ``masks`` with PNGs of the same names, and ``labels.txt``, see
      ``read_labels``; ``train.txt``, ``val.txt`` and ``test.txt`` may list the names of each part,
      of which ``train`` may be left out; or ``images`` and ``masks`` in ``train``, ``val`` and
      ``test`` each, with ``labels.txt`` beside these or in ``train``. A class called
      ``background`` is the background;
    - CamVid in SegNet's edition, see ``read_camvid``;
    - PASCAL VOC, see ``read_voc_masks``;
    - a folder that holds one such folder.

    Args:
        folder: to read.

    Returns:
        ``train``, ``val`` and ``test`` as far as the folder divides itself, otherwise ``train``
        alone. All parts have the same classes.

    Raises:
        DataError: the folder has none of these forms or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    found = _located(folder)
    if found is None:
        if has_voc_masks(folder):
            return read_voc_masks(folder)
        raise DataError(f"{folder} has no masks in a form that is read: there is no {_LOOKED_FOR}")
    if is_camvid(found):
        return read_camvid(found)
    parts = _divided(found)
    beside = found / _LABELS
    labels = read_labels(parts["train"] / _LABELS if parts and not beside.exists() else beside)
    if not parts:
        return _listed(found, _read(found, labels))
    return {part: _read(parts[part], labels) for part in _PARTS if part in parts}


def read_labels(path: Path) -> Labels:
    """Read a file of labels: a class a line, whose number, from 0, is its value in the masks.

    A colour may follow the name after a space, as in ``road #804080``. Where every class has one,
    masks may be pictures in these colours too, and answers are coloured so. Lines that say
    ``void`` are values, and colours, of no class; so are all that no line tells of, and 255.

    Raises:
        DataError: the file is missing or no text, a line within is empty, a class is named twice,
            there are fewer than two classes or more than 255 lines, only some have colours, or two
            have the same.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read; it must have a class a line") from error
    if len(lines) > VOID:
        raise DataError(
            f"{path} has {len(lines)} lines; there may be {VOID}, for the values 0 to {VOID - 1} "
            f"in the masks: {VOID} is void"
        )
    values, names, colours = [], [], []
    for value, line in enumerate(lines):
        match = _LINE.fullmatch(line.strip())
        if match is None or not match["name"]:
            raise DataError(f"{path}: line {value + 1} names no class; say void if it is none")
        if match["name"].lower() != _VOID:
            values.append(value)
            names.append(match["name"])
            if match["colour"]:
                colours.append(_colour(match["colour"]))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} names {', '.join(twice)} twice")
    if len(names) < 2:
        raise DataError(f"{path} must name 2 to {VOID} classes, not {len(names)}")
    if colours and len(set(colours)) != len(names):
        raise DataError(f"{path} must give every class a colour of its own, or none a colour")
    return Labels(tuple(names), Coding(tuple(values), tuple(colours) or None))


def split_masked(masked: MaskedSet, share: float, seed: int) -> tuple[MaskedSet, MaskedSet]:
    """Hold out a share of the pictures, chosen by chance.

    Pictures are grouped by the rarest class they show, that which the fewest pictures do, and the
    same share of every group is held out, see ``hold_out``. Their order stays; faults stay with
    the rest. Every mask is read; pictures whose masks are damaged are left out, and faults.
    Frames of one film are alike: give such a set lists of its own.

    Args:
        masked: the set to divide.
        share: of the pictures to hold out, between 0 and 1.
        seed: of the choice.

    Returns:
        The rest, and what is held out.

    Raises:
        DataError: the share is not between 0 and 1.
    """
    masked, pixels = sound(masked)
    shows = pixels > 0
    pictures = np.where(shows, shows.sum(0), len(masked) + 1)
    rarest = np.where(shows.any(1), pictures.argmin(1), -1)
    is_held_out = hold_out(rarest, share, seed)
    rest, held_out = (masked.subset(np.flatnonzero(keep)) for keep in (~is_held_out, is_held_out))
    return rest, replace(held_out, faults=())


def _located(folder: Path) -> Path | None:
    """The folder itself if it is a set, else the one in it that is."""
    if _is_set(folder):
        return folder
    folders = (path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path))
    below = [path for path in folders if _is_set(path)]
    if len(below) > 1:
        names = ", ".join(path.name for path in below)
        raise DataError(f"{folder} holds several sets; name one of them: {names}")
    return below[0] if below else None


def _is_set(folder: Path) -> bool:
    return is_camvid(folder) or _has_pictures(folder) or bool(_divided(folder))


def _has_pictures(folder: Path) -> bool:
    return (folder / _PICTURES).is_dir() and (folder / _MASKS).is_dir()


def _divided(folder: Path) -> dict[str, Path]:
    """The folder of each part."""
    parts: dict[str, Path] = {}
    for name, part in PARTS.items():
        if _has_pictures(folder / name):
            if part in parts:
                raise DataError(f"{folder} has more than one folder for {part}; keep one")
            parts[part] = folder / name
    if parts and "train" not in parts:
        raise DataError(f"{folder} has a folder {min(parts)}, but none called train")
    return parts


def _read(folder: Path, labels: Labels) -> MaskedSet:
    pictures = by_stem(of_kind(folder / _PICTURES, SUFFIXES))
    masks = by_stem(of_kind(folder / _MASKS, (".png",)))
    try:
        items, faults = pair(pictures, pictures, masks, labels.coding)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    background = next((name for name in labels.classes if name.lower() == _BACKGROUND), None)
    return MaskedSet(labels.classes, items, faults, labels.coding.colours, background)


def _listed(folder: Path, masked: MaskedSet) -> dict[str, MaskedSet]:
    """Divide a set by its lists; all of it is ``train`` where there are none."""
    position = {item.path.stem: index for index, item in enumerate(masked.items)}
    paths = {part: folder / f"{part}.txt" for part in _PARTS}
    lists = {part: read_list(path, position) for part, path in paths.items() if path.is_file()}
    every = Counter(name for names in lists.values() for name in names)
    twice = [name for name, count in every.items() if count > 1]
    if twice:
        raise DataError(f"{folder}: {twice[0]} is in more than one of the lists; keep it in one")
    if "train" not in lists:
        others = {name for names in lists.values() for name in names}
        lists = {"train": [name for name in position if name not in others]} | lists
    parts = {}
    for part, names in lists.items():
        chosen = masked.subset([position[name] for name in names if name in position])
        if not chosen.items:
            raise DataError(f"{folder}: no picture with a mask is left for {part}")
        missing = tuple(
            f"{folder / f'{part}.txt'}: there is no picture {name} with a mask"
            for name in names
            if name not in position
        )
        faults = masked.faults if part == "train" else ()
        parts[part] = replace(chosen, faults=(*faults, *missing))
    return parts


def _colour(digits: str) -> Colour:
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
