"""Annotations in the form of COCO's "captions": one JSON file a part.

Chen et al., Microsoft COCO Captions, 2015, https://arxiv.org/abs/1504.00325; the form:
https://cocodataset.org/#format-data.
"""

from pathlib import Path
from typing import Any

from training.data.captioned import CaptionedSet, first_of, gather, locate
from training.data.errors import DataError
from training.data.texts import read_json

_Entry = dict[str, Any]


def read_coco_captions(annotations: Path, pictures: Path) -> CaptionedSet:
    """Read a ``captions`` file and the pictures it names.

    Args:
        annotations: the JSON file.
        pictures: the folder below which ``file_name`` is looked for.

    Returns:
        The pictures in the order of ``images``. One that is listed twice is taken once, with all
        its captions.

    Raises:
        DataError: the file is no such JSON, or none of its pictures can be read.
    """
    content = read_json(annotations)
    faults: list[str] = []
    path_of: dict[Any, Path] = {}
    captions: dict[Path, list[str]] = {}
    for entry in _entries(annotations, content, "images", "id"):
        try:
            path = locate(str(entry.get("file_name") or ""), [pictures])
        except DataError as error:
            faults.append(f"{annotations}: picture {entry['id']}: {error}")
            continue
        if path_of.setdefault(entry["id"], path) != path:
            faults.append(f"{path}: has the id {entry['id']!r} of {path_of[entry['id']].name}")
            continue
        captions.setdefault(path, [])
    for entry in _entries(annotations, content, "annotations", "image_id"):
        path_or_none = path_of.get(entry["image_id"])
        caption = entry.get("caption")
        if path_or_none is None or not isinstance(caption, str):
            faults.append(
                f"{annotations}: caption {entry.get('id')!r} "
                + ("is no text" if path_or_none else "belongs to no picture that is listed")
            )
            continue
        captions[path_or_none].append(caption)
    found = gather(captions)
    faults += found.faults
    if not found.items:
        raise DataError(f"{annotations}: none of its pictures can be read{first_of(faults)}")
    return CaptionedSet(found.items, tuple(faults))


def _entries(path: Path, content: Any, name: str, key: str) -> list[_Entry]:
    """One of the file's lists, whose entries have the key of a picture."""
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise DataError(f"{path}: must hold a list of entries called {name}, as COCO's do")
    if not all(isinstance(each.get(key), int | str) for each in entries):
        raise DataError(f"{path}: every entry of {name} must have {key}, a number or text")
    return entries
