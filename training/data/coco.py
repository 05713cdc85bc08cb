"""Annotations in the form of COCO's "instances": one JSON file a set.

Lin et al., 2014, https://arxiv.org/abs/1405.0312; the form: https://cocodataset.org/#format-data.
"""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from training.data.boxed import BoxedSet, Corners, Objects
from training.data.errors import DataError

_Entry = dict[str, Any]


def read_coco(annotations: Path, pictures: Path, classes: Sequence[str] | None = None) -> BoxedSet:
    """Read an ``instances`` file and the pictures it names.

    The size of a picture is its own, whatever the file says; boxes that were drawn on a picture
    before EXIF turned it are turned with it, see ``Objects``. ``iscrowd`` objects are ``ignored``.
    Entries that name the same picture become one; an object that is there twice is taken once.

    Args:
        annotations: the JSON file.
        pictures: the folder below which ``file_name`` is looked for, first as it is written, then
            without its folders.
        classes: whose objects are read; others are dropped silently. ``None``: all categories
            ordered by their ids, but for those without objects that only group others.

    Raises:
        DataError: the file is no such JSON, or none of its pictures can be read.
    """
    content = _load(annotations)
    found: dict[Path, Objects] = {}
    of_id: dict[Any, Objects] = {}
    faults: list[str] = []
    unread = set()
    for entry in content["images"]:
        try:
            picture = _picture(entry, pictures)
            if picture not in found:
                found[picture], lines = Objects.of_picture(picture, _claimed(entry))
                faults += lines
        except DataError as error:
            unread.add(entry.get("id"))
            faults.append(str(error))
            continue
        other = of_id.setdefault(entry.get("id"), found[picture])
        if other is not found[picture]:
            faults.append(
                f"{picture}: has the id {entry.get('id')!r} of {other.path.name}, whose objects "
                "these are taken to be"
            )
    if not found:
        first = f"; the first of {len(faults)} faults is {faults[0]}" if faults else ""
        raise DataError(f"{annotations}: none of its pictures can be read{first}")
    names = {entry.get("id"): str(entry.get("name", "")) for entry in content["categories"]}
    taken: set[tuple[Any, ...]] = set()
    for entry in content["annotations"]:
        image, category = entry.get("image_id"), names.get(entry.get("category_id"))
        if image in unread or (classes is not None and category and category not in classes):
            continue
        objects = of_id.get(image)
        fault = _add(objects, category, entry, taken)
        if fault is not None:
            where = objects.path if objects else annotations
            faults.append(f"{where}: box {entry.get('id')} ({category}) {fault}")
    if classes is None:
        classes = _classes(content["categories"], {n for o in found.values() for n in o.names})
    return BoxedSet(tuple(classes), tuple(o.boxed(classes) for o in found.values()), tuple(faults))


def _load(path: Path) -> dict[str, list[_Entry]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error})") from error
    lists = {}
    for name in ("images", "annotations", "categories"):
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise DataError(f"{path}: must hold a list of entries called {name}, as COCO's do")
        if not all(isinstance(e.get("id"), int | str) for e in entries):
            raise DataError(f"{path}: every entry of {name} must have an id")
        lists[name] = entries
    return lists


def _picture(entry: _Entry, pictures: Path) -> Path:
    name = PurePosixPath(str(entry.get("file_name", "")).replace("\\", "/"))
    if not name.name:
        raise DataError(f"{pictures}: picture {entry.get('id')} has no file_name")
    if not name.is_absolute() and ".." not in name.parts and (pictures / name).is_file():
        return pictures / name
    return pictures / name.name


def _claimed(entry: _Entry) -> tuple[str, str] | None:
    width, height = entry.get("width"), entry.get("height")
    return None if width is None or height is None else (_plain(width), _plain(height))


def _plain(size: Any) -> str:
    """Some tools write 640.0 for 640."""
    return str(int(size)) if isinstance(size, float) and size.is_integer() else str(size)


def _add(
    objects: Objects | None, category: str | None, entry: _Entry, taken: set[tuple[Any, ...]]
) -> str | None:
    if objects is None:
        return f"belongs to the picture {entry.get('image_id')}, which is not listed"
    if not category:
        return f"is of the category {entry.get('category_id')}, which is not listed"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return f"must be four numbers, x, y, width and height, not {box!r}"
    x, y, width, height = (float(value) for value in box)
    key = (objects.path, category, x, y, width, height)
    if key in taken:
        return None
    taken.add(key)
    corners: Corners = (x, y, x + width, y + height)
    return objects.add(category, corners, bool(entry.get("iscrowd", 0)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _classes(categories: list[_Entry], used: set[str]) -> list[str]:
    """All categories but those that, as Roboflow writes them, only name a group of others."""
    ordered = sorted(categories, key=lambda e: (isinstance(e["id"], str), e["id"]))
    groups = {e.get("supercategory") for e in ordered if e.get("supercategory") != e.get("name")}
    names = dict.fromkeys(str(entry.get("name", "")) for entry in ordered)
    return [name for name in names if name and (name in used or name not in groups)]
