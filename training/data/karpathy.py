"""Captions and parts in the form of Karpathy and Fei-Fei: one JSON file a set.

Deep Visual-Semantic Alignments, 2015, https://arxiv.org/abs/1412.2306: ``dataset_flickr8k.json``,
``dataset_flickr30k.json`` and ``dataset_coco.json``, which many papers divide these sets by.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.captioned import CaptionedSet, first_of, gather, locate, part_of
from training.data.errors import DataError
from training.data.texts import read_json

_FILES = ("dataset_flickr8k.json", "dataset_flickr30k.json", "dataset_coco.json")
PICTURES = ("flickr30k_images", "flickr30k-images")
"""Folders that may hold Flickr30k's pictures."""


def find_karpathy(folder: Path) -> Path | None:
    """The file of a folder that is called so.

    Raises:
        DataError: there are several.
    """
    found = [folder / name for name in _FILES if (folder / name).is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder} divides several sets; keep one of {names}")
    return found[0] if found else None


def read_karpathy(path: Path, pictures: Sequence[Path]) -> dict[str, CaptionedSet]:
    """Read such a file and the pictures it names.

    Args:
        path: of the file.
        pictures: folders below which ``filepath/filename`` or ``filename`` lies.

    Returns:
        The parts ``train``, with what the file calls ``restval``, ``val`` and ``test`` as far as
        they are there.

    Raises:
        DataError: the file is no such JSON, or has another split.
    """
    content = read_json(path)
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise DataError(f"{path}: must hold a list of entries called images")
    parts: dict[str, dict[Path, list[str]]] = {}
    faults: list[str] = []
    for number, entry in enumerate(entries):
        try:
            part = part_of(str(entry.get("split", "")))
        except DataError as error:
            raise DataError(f"{path}: picture {number}: {error}") from error
        try:
            file, captions = _picture(entry, pictures), _captions(entry)
        except DataError as error:
            faults.append(f"{path}: picture {number}: {error}")
            continue
        parts.setdefault(part, {}).setdefault(file, []).extend(captions)
    read = {part: gather(captions) for part, captions in parts.items()}
    if "train" not in read:
        raise DataError(f"{path}: has no pictures whose split is train{first_of(faults)}")
    train = read["train"]
    return read | {"train": CaptionedSet(train.items, (*faults, *train.faults))}


def _picture(entry: dict[str, Any], pictures: Sequence[Path]) -> Path:
    name = str(entry.get("filename") or "")
    whole = f"{entry['filepath']}/{name}" if entry.get("filepath") and name else name
    path = locate(whole, pictures)
    return path if path.is_file() else locate(name, pictures)


def _captions(entry: dict[str, Any]) -> list[str]:
    sentences = entry.get("sentences")
    if not isinstance(sentences, list):
        raise DataError("must have a list of sentences")
    raw = [each.get("raw") if isinstance(each, dict) else None for each in sentences]
    if not all(isinstance(each, str) for each in raw):
        raise DataError("every sentence must have its text, called raw")
    return [each for each in raw if isinstance(each, str)]
