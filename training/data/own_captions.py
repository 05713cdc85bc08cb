"""One's own pictures with captions: a table beside the pictures."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.data.caption_tables import Table, read_table
from training.data.captioned import CaptionedSet, gather, locate, part_of
from training.data.errors import DataError
from training.data.flickr8k import CAPTIONS, PICTURES
from training.data.listing import PARTS, of_kind, read_list
from training.data.pictures import SUFFIXES

_TABLES = (
    *("captions.csv", "captions.tsv", "captions.jsonl", *CAPTIONS),
    *("metadata.csv", "metadata.jsonl"),  # as Hugging Face's ImageFolder has them
)
_PARTS = ("train", "val", "test")


@dataclass(slots=True)
class _Told:
    """What a table says of one picture.

    Attributes:
        split: the part it is to be in, empty if nothing is said.
        line: where that is said first.
        captions: all of them.
    """

    split: str
    line: int
    captions: list[str] = field(default_factory=list)


def has_captions(folder: Path) -> bool:
    """Whether a folder, or its folder ``train``, holds a table of captions."""
    return bool(_tables(folder)) or bool(_divided(folder))


def read_own_captions(folder: Path) -> dict[str, CaptionedSet]:
    """Read pictures and the table beside them.

    The table is ``captions.csv``, ``.tsv``, ``.txt`` or ``.jsonl`` (or, as Hugging Face's
    ImageFolder has it, ``metadata.csv`` or ``.jsonl``), see ``read_table``. It names pictures from
    its own folder on, or from ``images``, ``Images`` or Flickr8k's folder of pictures in it. What
    divides the set is a column ``split``; or lists ``train.txt``, ``val.txt`` and ``test.txt``
    of names, of which ``train`` may be left out; or folders ``train``, ``val`` and ``test``, each
    with a table of its own.

    Args:
        folder: that holds the table.

    Returns:
        ``train``, ``val`` and ``test`` as far as the folder divides itself, otherwise ``train``
        alone.

    Raises:
        DataError: a table cannot be read, only some of its lines name a split, one names another,
            or a picture, or one that is the same byte for byte, is in two parts.
    """
    divided = _divided(folder)
    if not divided:
        return _read(folder)
    if _tables(folder):
        raise DataError(
            f"{folder} has a table of captions beside the folders of parts that have one each; "
            "keep either"
        )
    parts = {part: _whole(below) for part, below in divided.items()}
    _check_copies(folder, parts)
    return parts


def _tables(folder: Path) -> list[Path]:
    return [folder / name for name in _TABLES if (folder / name).is_file()]


def _divided(folder: Path) -> dict[str, Path]:
    """The folder of each part, if ``train`` has a table."""
    parts: dict[str, Path] = {}
    for name, part in PARTS.items():
        if _tables(folder / name):
            if part in parts:
                raise DataError(f"{folder} has more than one folder for {part}; keep one")
            parts[part] = folder / name
    return parts if "train" in parts else {}


def _whole(folder: Path) -> CaptionedSet:
    """All of a folder, which is a part."""
    told, faults = _told(folder)
    if any(each.split for each in told.values()):
        raise DataError(f"{folder} is a part, but its captions name a split too; keep either")
    captioned = gather({path: each.captions for path, each in told.items()})
    return replace(captioned, faults=(*faults, *captioned.faults))


def _read(folder: Path) -> dict[str, CaptionedSet]:
    told, faults = _told(folder)
    lists = {part: folder / f"{part}.txt" for part in _PARTS}
    present = {part: path for part, path in lists.items() if path.is_file()}
    if any(each.split for each in told.values()):
        names = {
            part: [path for path, each in told.items() if each.split == part] for part in _PARTS
        }
        parts = {part: paths for part, paths in names.items() if paths}
    elif present:
        parts, missing = _listed(folder, present, told)
        faults += missing
    else:
        parts = {"train": list(told)}
    read = {
        part: gather({path: told[path].captions for path in paths}) for part, paths in parts.items()
    }
    if "train" in read:
        train = read["train"]
        read["train"] = replace(train, faults=(*faults, *train.faults))
    _check_copies(folder, read)
    return read


def _told(folder: Path) -> tuple[dict[Path, _Told], list[str]]:
    """What the table of a folder says of each picture, and what is wrong with it."""
    tables = _tables(folder)
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise DataError(f"{folder} has several tables of captions; keep one of {names}")
    table = read_table(tables[0])
    told, faults = _by_picture(folder, tables[0], table)
    faults = [*table.faults, *faults]
    folders = {path.parent for path in told if path.parent.is_dir()}
    others = {path for below in folders for path in of_kind(below, SUFFIXES)} - told.keys()
    faults += [f"{path}: there is no caption of it" for path in sorted(others)]
    return told, faults


def _by_picture(folder: Path, path: Path, table: Table) -> tuple[dict[Path, _Told], list[str]]:
    folders = [folder, *(folder / name for name in PICTURES if (folder / name).is_dir())]
    told: dict[Path, _Told] = {}
    faults: list[str] = []
    located: dict[str, Path] = {}
    is_split = any(row.split for row in table.rows)
    for row in table.rows:
        try:
            picture = located.get(row.image) or locate(row.image, folders)
        except DataError as error:
            faults.append(f"{path}: line {row.line}: {error}")
            continue
        located[row.image] = picture
        if is_split and not row.split:
            raise DataError(f"{path}: line {row.line} names no split, but others do; name it")
        try:
            split = part_of(row.split) if is_split else ""
        except DataError as error:
            raise DataError(f"{path}: line {row.line}: {error}") from error
        each = told.setdefault(picture, _Told(split, row.line))
        if each.split != split:
            raise DataError(
                f"{path}: {row.image} is in {each.split} on line {each.line} and in {split} on "
                f"line {row.line}; keep it in one, for what is learned must not be measured on"
            )
        each.captions.append(row.caption)
    return told, faults


def _listed(
    folder: Path, lists: Mapping[str, Path], told: Iterable[Path]
) -> tuple[dict[str, list[Path]], list[str]]:
    """The pictures of each part by its list, and a line for each name that no picture has."""
    of_stem: dict[str, Path] = {}
    for path in told:
        other = of_stem.setdefault(path.stem, path)
        if other != path:
            raise DataError(
                f"{folder}: lists name pictures without folder and suffix, but {other} and {path} "
                "would be the same; give captions.csv a column split instead"
            )
    names = {part: read_list(path, of_stem) for part, path in lists.items()}
    part_of_name: dict[str, str] = {}
    for part, listed in names.items():
        for name in listed:
            other_part = part_of_name.setdefault(name, part)
            if other_part != part:
                raise DataError(
                    f"{folder}: {name} is in {other_part}.txt and {part}.txt; keep it in one"
                )
    if "train" not in names:
        names = {"train": [name for name in of_stem if name not in part_of_name]} | names
    faults = [
        f"{lists[part]}: there is no picture {name} with a caption"
        for part, listed in names.items()
        for name in listed
        if name not in of_stem
    ]
    parts = {
        part: [of_stem[name] for name in listed if name in of_stem]
        for part, listed in names.items()
    }
    return parts, faults


def _check_copies(folder: Path, parts: Mapping[str, CaptionedSet]) -> None:
    """Raise DataError if files of two parts are the same byte for byte."""
    if len(parts) < 2:
        return
    of_size: dict[int, list[tuple[str, Path]]] = {}
    for part, captioned in parts.items():
        for item in captioned.items:
            of_size.setdefault(item.path.stat().st_size, []).append((part, item.path))
    for alike in of_size.values():
        if len({part for part, _ in alike}) < 2:
            continue
        seen: dict[bytes, tuple[str, Path]] = {}
        for part, path in alike:
            other, first = seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), (part, path))
            if other != part:
                raise DataError(
                    f"{folder}: {first} in {other} and {path} in {part} are the same picture; keep "
                    "one, for what is learned must not be measured on"
                )
