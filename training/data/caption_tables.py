"""Captions in tables: CSV and its relatives, JSON lines, and Flickr's lines of text."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.errors import DataError
from training.data.pictures import SUFFIXES
from training.data.texts import read_text

_IMAGE = ("image", "file_name", "filename", "file", "image_name", "image_path", "path", "picture")
_CAPTION = ("caption", "captions", "text", "comment", "sentence", "sentences", "description")
_SPLIT = ("split", "part", "subset", "set")
_DELIMITERS = "\t,;|"
_ENDINGS = "|".join(re.escape(suffix) for suffix in SUFFIXES)
#: A picture's name at the beginning of a line, and what parts it from the caption.
_NAMED = re.compile(rf'"?[^\t,;|"]*({_ENDINGS})(#\d+)?"?\s*(?P<delimiter>[\t,;|])', re.IGNORECASE)
#: Which of a picture's captions a line is, in Flickr8k.token.txt.
_NUMBER = re.compile(r"(\.[^#/]*)#\d+$")


@dataclass(frozen=True, slots=True)
class Row:
    """A caption of a picture.

    Attributes:
        image: the picture's name as it is written, strokes turned forwards.
        caption: what is said of it.
        split: the part it is written to be in, empty if nothing is.
        line: of the file, from 1.
    """

    image: str
    caption: str
    split: str
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """What a file of captions holds.

    Attributes:
        rows: in the order of the file.
        faults: a line for each that is left out.
    """

    rows: tuple[Row, ...]
    faults: tuple[str, ...]


def read_table(path: Path) -> Table:
    """Read a file of captions by its suffix.

    - ``.jsonl``: an object a line, with the picture's name as ``image`` or ``file_name``, a
      ``caption`` or a list of ``captions``, perhaps a ``split``;
    - others: a caption a line, after the picture's name. What parts them, a tab, comma, semicolon
      or bar, is the file's first. Columns may be named in a first line and then be in any order,
      such as ``image,caption,split``. Values may be in double quotes (RFC 4180); where that does
      not fit, a line's caption, as the last value, is all that follows.

    A number after the name, ``dog.jpg#0``, as in Flickr8k.token.txt, is no part of it.

    Raises:
        DataError: the file cannot be read, has no such lines, or does not name such columns.
    """
    text = read_text(path)
    read = _read_lines_of_json if path.suffix.lower() == ".jsonl" else _read_values
    rows: list[Row] = []
    faults: list[str] = []
    for found in read(path, text):
        if isinstance(found, Row):
            rows.append(found)
        else:
            faults.append(f"{path}: {found}")
    if not rows:
        raise DataError(faults[0] if faults else f"{path}: has no captions")
    return Table(tuple(rows), tuple(faults))


def _read_lines_of_json(path: Path, text: str) -> Iterator[Row | str]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is no JSON ({error})") from error
        values = entry if isinstance(entry, dict) else {}
        image, caption, split = (_first(values, names) for names in (_IMAGE, _CAPTION, _SPLIT))
        captions = caption if isinstance(caption, list) else [caption]
        if not isinstance(image, str) or not all(isinstance(each, str) for each in captions):
            yield f"line {number} must have an image and a caption, or a list captions, as text"
            continue
        for each in captions:
            yield Row(_name(image), each, str(split or "").strip(), number)


def _read_values(path: Path, text: str) -> Iterator[Row | str]:
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    delimiter, columns, has_header = _columns(path, first)
    skipped = has_header
    for number, values in _parted(path, lines, delimiter, columns):
        if skipped:
            skipped = False
            continue
        if len(values) != len(columns):
            yield (
                f"line {number} has {len(values)} values, not {len(columns)}; put those that hold "
                f"{delimiter!r} in double quotes"
            )
            continue
        of = {column: value.strip() for column, value in zip(columns, values, strict=True)}
        yield Row(_name(of["image"]), of["caption"], of.get("split", ""), number)


def _columns(path: Path, first: str) -> tuple[str, list[str], bool]:
    """What parts values, what each is, and whether the first line says so."""
    for delimiter in _DELIMITERS:
        names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
        columns = [_column(name) for name in names]
        if "image" in columns and "caption" in columns:
            for column in ("image", "caption", "split"):
                if columns.count(column) > 1:
                    raise DataError(f"{path}: has more than one column for {column}; keep one")
            return delimiter, columns, True
    match = _NAMED.match(first)
    if match is None:
        raise DataError(
            f"{path}: must begin with a line that names its columns, image,caption or "
            "image,caption,split, or with the name of a picture, a tab or comma and its caption"
        )
    return match["delimiter"], ["image", "caption"], False


def _column(name: str) -> str:
    for column, names in (("image", _IMAGE), ("caption", _CAPTION), ("split", _SPLIT)):
        if name in names:
            return column
    return name


def _parted(
    path: Path, lines: Sequence[str], delimiter: str, columns: Sequence[str]
) -> list[tuple[int, list[str]]]:
    """The values of each line that is not empty, after its number."""
    try:
        reader = csv.reader(
            (f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True, strict=True
        )
        parted = [(reader.line_num, values) for values in reader if any(values)]
        if columns[-1] != "caption" or all(_fits(values, columns) for _, values in parted):
            return parted
    except csv.Error as error:
        if columns[-1] != "caption":
            raise DataError(
                f"{path}: line {reader.line_num} is no CSV ({error}); a double quote within quotes "
                "is written twice"
            ) from error
    return [
        (number, [_bare(value) for value in line.split(delimiter, len(columns) - 1)])
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _fits(values: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a line has a value a column, none of which runs into the next line's picture."""
    if len(values) != len(columns):
        return False
    return not any(_NAMED.match(line) for value in values for line in value.split("\n")[1:])


def _bare(value: str) -> str:
    """Without the double quotes around it."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('""', '"')
    return value


def _first(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _name(image: str) -> str:
    return _NUMBER.sub(r"\1", image.strip()).replace("\\", "/")
