"""Flickr8k: 8000 pictures of people and dogs, five captions each, in its standard parts.

Hodosh, Young and Hockenmaier, Framing Image Description as a Ranking Task, 2013,
https://doi.org/10.1613/jair.3994: 6000 pictures to learn from, 1000 to choose by and 1000 to
measure on.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.data.caption_tables import read_table
from training.data.captioned import Parts, check_apart, first_of, gather, locate
from training.data.errors import DataError
from training.data.texts import read_text

CAPTIONS = ("Flickr8k.token.txt", "captions.txt")
"""Files that may hold the captions."""

_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_TEXTS = (".", "Flickr8k_text")
PICTURES = (
    "Flicker8k_Dataset",  # so it is spelt in the archive
    "Flickr8k_Dataset",
    "Flickr8k_Dataset/Flicker8k_Dataset",
    "Images",
    "images",
)
"""Folders that may hold the pictures."""


def is_flickr8k(folder: Path) -> bool:
    """Whether a folder holds one of the lists that divide the set."""
    return any((folder / text / name).is_file() for text in _TEXTS for name in _LISTS.values())


def read_flickr8k(folder: Path) -> Parts:
    """Read the set in its standard parts.

    Args:
        folder: that holds, itself or in ``Flickr8k_text``, ``Flickr8k.token.txt`` (or, as on
            Kaggle, ``captions.txt``) and ``Flickr_8k.{train,dev,test}Images.txt``; and the pictures
            in ``Flicker8k_Dataset``, ``Flickr8k_Dataset``, ``Images`` or in itself.

    Returns:
        The parts, each in the order of its list. Pictures in no list are in no part.

    Raises:
        DataError: a file is missing or not what it should be, a picture is in two lists, or none
            of a part can be read.
    """
    lists = {part: _find(folder, (name,)) for part, name in _LISTS.items()}
    table = read_table(_find(folder, CAPTIONS))
    pictures = next((folder / name for name in PICTURES if (folder / name).is_dir()), folder)
    captions: dict[str, list[str]] = {}
    for row in table.rows:
        captions.setdefault(row.image, []).append(row.caption)
    names = {part: _read_list(path) for part, path in lists.items()}
    read = {
        part: gather({locate(name, [pictures]): captions.get(name, ()) for name in listed})
        for part, listed in names.items()
    }
    for part, captioned in read.items():
        if not captioned.items:
            raise DataError(
                f"{folder}: no picture of {lists[part].name} can be read; they are looked for in "
                f"{pictures}, and could be in {', '.join(PICTURES)}"
                f"{first_of(captioned.faults)}"
            )
    check_apart(read, folder)
    others = captions.keys() - {name for listed in names.values() for name in listed}
    train = read["train"]
    faults = (*table.faults, *_tell(pictures, sorted(others)), *train.faults)
    return Parts(replace(train, faults=faults), read["dev"], read["test"], "flickr8k")


def _find(folder: Path, names: Sequence[str]) -> Path:
    """The first file of these names."""
    for name in names:
        for text in _TEXTS:
            if (path := folder / text / name).is_file():
                return path
    raise DataError(
        f"{folder} holds no {' or '.join(names)}; Flickr8k's captions are in "
        f"{' or '.join(CAPTIONS)}, and it is divided by {', '.join(_LISTS.values())}"
    )


def _read_list(path: Path) -> list[str]:
    """The names of a list, none twice."""
    lines = (line.strip() for line in read_text(path).split("\n"))
    return list(dict.fromkeys(line for line in lines if line))


def _tell(pictures: Path, names: Sequence[str]) -> list[str]:
    """Of pictures that are in no list: those that are missing, and how many others there are."""
    missing = [name for name in names if not (pictures / name).is_file()]
    lines = [f"{pictures / name}: there is no such picture" for name in missing]
    if count := len(names) - len(missing):
        lines.append(f"{pictures}: {count} pictures with captions are in none of the lists")
    return lines
