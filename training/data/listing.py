"""Which picture files a folder of classes holds, and how it is divided into parts."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from training.data.errors import DataError
from training.data.pictures import SUFFIXES

PARTS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""The folder names of a divided set, and the part each is."""


@dataclass(frozen=True)
class Listing:
    """The picture files of one part.

    Attributes:
        classes: the files of each class, both in the order of their names.
        ignored: how many entries were neither a class nor a picture.
    """

    classes: dict[str, list[Path]]
    ignored: int


def list_parts(folder: Path) -> dict[str, Listing]:
    """The files of every part of a folder; of ``train`` alone if it is not divided.

    A folder is divided if it has a folder ``train`` that holds folders and no picture.

    Raises:
        DataError: the folder has no classes, a class has no pictures, there are fewer than two
            classes, the parts have different classes, or something stands beside them.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    folders = _folders(folder)
    if any(path.name == "train" and _folders(path) and not _files(path)[0] for path in folders):
        parts = _divided(folder, folders)
    else:
        parts = {"train": _list(folder)}
    expected = set(parts["train"].classes)
    if len(expected) < 2:
        raise DataError(f"{folder} has one class, {min(expected)!r}; there must be two at least")
    for part, listing in parts.items():
        found = set(listing.classes)
        if found != expected:
            differing = ", ".join(sorted(found ^ expected))
            raise DataError(
                f"{folder}: train and {part} must have the same classes, not {differing}"
            )
    return parts


def read_list(path: Path, known: Collection[str] = ()) -> list[str]:
    """The names that a list of pictures has, none twice, without folders and suffixes.

    Args:
        path: of the list.
        known: names that may have spaces in them: a line that says one of these is taken whole, of
            any other the first word.

    Raises:
        DataError: the file is missing or no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read") from error
    names = (
        whole if (whole := stem_of(line.strip())) in known else stem_of(line.split()[0])
        for line in lines
        if line.strip()
    )
    return list(dict.fromkeys(names))


def stem_of(entry: str) -> str:
    """The name without folder and suffix; a dot is part of it where no suffix is known."""
    name = PureWindowsPath(entry)  # which splits at both kinds of stroke
    return name.stem if name.suffix.lower() in (*SUFFIXES, ".xml") else name.name


def of_kind(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """What lies directly in a folder and has one of these suffixes, in letters of any case.

    Hidden files are left out.

    Args:
        folder: to look into.
        suffixes: with their dots, in small letters.
    """
    for path in folder.iterdir():
        if path.suffix.lower() in suffixes and not is_hidden(path):
            yield path


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is none of a set's: hidden, or of what macOS adds to archives."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _divided(folder: Path, folders: list[Path]) -> dict[str, Listing]:
    parts: dict[str, Listing] = {}
    for path in folders:
        part = PARTS.get(path.name)
        if part is None:
            raise DataError(
                f"{folder} has a folder train, so beside it there may be val and test only; "
                f"move {path.name} elsewhere"
            )
        if part in parts:
            raise DataError(f"{folder} has more than one folder for {part}; keep one")
        parts[part] = _list(path)
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _list(folder: Path) -> Listing:
    """The classes below one folder."""
    pictures, ignored = _files(folder)
    classes: dict[str, list[Path]] = {}
    ignored += len(pictures)
    for path in _folders(folder):
        classes[path.name], others = _files(path)
        ignored += others + len(_folders(path))
        if not classes[path.name]:
            raise DataError(
                f"{path} holds no picture ({', '.join(SUFFIXES)}); "
                "every folder must be a class with its pictures directly in it"
            )
    if not classes:
        raise DataError(
            f"{folder} holds no folders; put the pictures of each class into a folder of its name"
        )
    return Listing(classes, ignored)


def _files(folder: Path) -> tuple[list[Path], int]:
    """The pictures directly in a folder, and how many other files there are."""
    files = [path for path in folder.iterdir() if path.is_file()]
    pictures = [path for path in files if not is_hidden(path) and path.suffix.lower() in SUFFIXES]
    return sorted(pictures), len(files) - len(pictures)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))
