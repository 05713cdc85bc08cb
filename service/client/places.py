"""Which pictures a command line means, and where what is made of each goes."""

import glob
import os
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.client.sightline import Format

#: Of files that are taken out of a folder.
PICTURES: Final = frozenset(
    {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
#: The formats of answers by suffix; the first of a format is the one that is added.
FORMATS: Final[dict[str, Format]] = {
    ".jpg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
}


class PlacesError(Exception):
    """The command line names pictures or places that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to send.

    Attributes:
        name: what it is called in answers.
        path: None for the standard input.
        below: where its answer lies below a folder of answers.
    """

    name: str
    path: Path | None
    below: Path

    def content(self) -> Path | bytes:
        """The file, or all of the standard input."""
        return sys.stdin.buffer.read() if self.path is None else self.path


def sources(words: Iterable[str], out: Path | None = None) -> list[Source]:
    """The pictures that files, folders, patterns and ``-`` mean, each once.

    A folder is taken with all below it, but for what lies in ``out``, which holds the answers of
    an earlier run. A file that is not there is left to whoever opens it.

    Raises:
        PlacesError: a folder or a pattern has no picture.
    """
    found: dict[str, Source] = {}
    for word in words:
        these = list(_meant(word, out))
        if not these:
            raise PlacesError(f"there is no picture in {word}")
        found |= {each.name: each for each in these if each.name not in found}
    return list(found.values())


def _meant(word: str, out: Path | None) -> Iterator[Source]:
    path = Path(word)
    if word == "-":
        yield Source("stdin", None, Path("stdin"))
    elif path.is_dir():
        yield from _in_folder(path, out)
    elif glob.has_magic(word) and not path.exists():
        for match in sorted(glob.glob(word, recursive=True)):
            if not Path(match).is_dir():
                yield Source(match, Path(match), Path(Path(match).name))
    else:
        yield Source(word, path, Path(path.name))


def _in_folder(folder: Path, out: Path | None) -> Iterator[Source]:
    skipped = out.resolve() if out is not None and out.resolve() != folder.resolve() else None
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURES or not path.is_file():
            continue
        if skipped is None or skipped not in path.resolve().parents:
            yield Source(str(path), path, path.relative_to(folder))


def targets(
    given: Sequence[Source], out: str, wanted: Format | None, others: Iterable[Path] = ()
) -> tuple[list[Path], Format]:
    """Where the answer to each picture goes, and the format that all have.

    ``out`` is a file for a single picture if it ends like one, else a folder. In a folder an
    answer has its picture's name, with a suffix of the format added if it is of another.

    Args:
        given: the pictures.
        out: as in the command line.
        wanted: the format; None for that of the file's suffix, or JPEG.
        others: more files that are not to be overwritten.

    Raises:
        PlacesError: a picture would be overwritten, or two answers be one file.
    """
    path = Path(out)
    own = FORMATS.get(path.suffix.lower())
    if len(given) == 1 and own and not path.is_dir() and not out.endswith(("/", os.sep)):
        if wanted not in (None, own):
            raise PlacesError(f"{out} does not end like the format {wanted}")
        paths, kind = [path], own
    else:
        if path.exists() and not path.is_dir():
            raise PlacesError(
                f"{out} is no folder, and there is more than one picture, or no "
                "format that it ends like"
            )
        kind = wanted or "jpeg"
        paths = [path / _named(each.below, kind) for each in given]
    kept = {_identity(each.path) for each in given if each.path} | {_identity(p) for p in others}
    taken: dict[Path, Source] = {}
    for source, target in zip(given, paths, strict=True):
        if _identity(target) in kept:
            raise PlacesError(f"{target} is one of the pictures, which are never overwritten")
        if (other := taken.setdefault(target, source)) is not source:
            raise PlacesError(f"{target} would be the answer to {other.name} and to {source.name}")
    return paths, kind


def _named(below: Path, kind: Format) -> Path:
    if FORMATS.get(below.suffix.lower()) == kind:
        return below
    suffix = next(each for each, its in FORMATS.items() if its == kind)
    return below.with_name(below.name + suffix)


def _identity(path: Path) -> tuple[int, int] | Path:
    """The same for two names of one file."""
    try:
        found = path.stat()
    except OSError:
        return path.absolute()
    return found.st_dev, found.st_ino


def write(target: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, and the folders it lies in.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
