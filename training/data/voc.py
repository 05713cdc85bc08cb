"""Annotations in the form of PASCAL VOC: one XML file a picture.

Everingham et al., 2010, https://doi.org/10.1007/s11263-009-0275-4; the form is described in the
development kit, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from training.data.boxed import BoxedSet, Corners, Objects
from training.data.errors import DataError
from training.data.listing import read_list, stem_of
from training.data.pictures import SUFFIXES

_ANNOTATIONS = ("Annotations", "annotations")
_PICTURES = ("JPEGImages", "images")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def is_voc(folder: Path) -> bool:
    """Whether a folder holds XML annotations and a folder of pictures."""
    return _find(folder, _PICTURES) is not None and any(
        next((folder / name).glob("*.xml"), None) for name in _ANNOTATIONS
    )


def parts(folder: Path) -> tuple[str, ...]:
    """The names of the lists in ``ImageSets/Main``, sorted."""
    return tuple(sorted(path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt")))


def read_voc(
    folder: Path, part: str | None = None, classes: Sequence[str] | None = None
) -> BoxedSet:
    """Read ``Annotations/*.xml`` and the pictures in ``JPEGImages`` or ``images``.

    A picture is found by the name of its XML file, else by the name within it; its size is its
    own, and boxes that were drawn on it before EXIF turned it are turned with it, see ``Objects``.
    Corners count from 1 and include their pixels, so ``xmin, ymin`` become one less.
    "difficult" objects are ``ignored``; the boxes of an object's ``part`` are not objects.

    Args:
        folder: that holds these folders.
        part: a list ``ImageSets/Main/<part>.txt``: of each line the first word is taken, without
            folder and suffix. ``None``: every XML file.
        classes: whose objects are read; others are dropped silently. ``None``: all names found,
            sorted.

    Raises:
        DataError: a folder or the list is missing, or no picture of the list can be read.
    """
    annotations = _find(folder, _ANNOTATIONS)
    pictures = _find(folder, _PICTURES)
    if annotations is None or pictures is None:
        raise DataError(
            f"{folder} must hold a folder Annotations with XML files and the pictures in "
            f"{' or '.join(_PICTURES)}"
        )
    files = {
        path.stem: path
        for path in sorted(pictures.iterdir(), reverse=True)
        if path.suffix.lower() in SUFFIXES
    }
    found: list[Objects] = []
    faults: list[str] = []
    for name in _names(folder, annotations, part):
        try:
            objects, lines = _read(annotations / f"{name}.xml", files, classes)
        except DataError as error:
            faults.append(str(error))
        else:
            found.append(objects)
            faults += lines
    if not found:
        first = f"; the first of {len(faults)} faults is {faults[0]}" if faults else ""
        raise DataError(f"{folder}: no picture of {part or 'Annotations'} can be read{first}")
    if classes is None:
        classes = sorted({name for objects in found for name in objects.names})
    return BoxedSet(tuple(classes), tuple(o.boxed(classes) for o in found), tuple(faults))


def _find(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _names(folder: Path, annotations: Path, part: str | None) -> list[str]:
    if part is None:
        return sorted(path.stem for path in annotations.glob("*.xml"))
    path = folder / "ImageSets" / "Main" / f"{part}.txt"
    try:
        return read_list(path)
    except DataError as error:
        have = ", ".join(parts(folder)) or "none"
        raise DataError(f"{error}; the lists there are: {have}") from error


def _read(
    path: Path, files: dict[str, Path], classes: Sequence[str] | None
) -> tuple[Objects, list[str]]:
    """The objects of one XML file, and what is wrong with some."""
    root = _parse(path)
    picture = files.get(path.stem) or files.get(stem_of(root.findtext("filename", "").strip()))
    if picture is None:
        raise DataError(f"{path}: there is no picture {path.stem} for it")
    claimed = (root.findtext("size/width", "").strip(), root.findtext("size/height", "").strip())
    objects, faults = Objects.of_picture(picture, None if "" in claimed else claimed)
    for number, element in enumerate(root.findall("object"), 1):
        name = element.findtext("name", "").strip()
        if classes is not None and name not in classes:
            continue
        fault = _add(objects, name, element)
        if fault is not None:
            faults.append(f"{path}: box {number} ({name or 'without a name'}) {fault}")
    return objects, faults


def _add(objects: Objects, name: str, element: ElementTree.Element) -> str | None:
    if not name:
        return "has no class"
    texts = [element.findtext(f"bndbox/{corner}") for corner in _CORNERS]
    try:
        corners = tuple(float(text or "") for text in texts)
    except ValueError:
        given = ", ".join(repr(text) for text in texts)
        return f"must have four numbers as its corners, not {given}"
    x_min, y_min, x_max, y_max = corners
    if x_max <= x_min or y_max <= y_min:  # a pixel wide by the letter, but never meant so
        return f"has no area ({x_min:g} {y_min:g} {x_max:g} {y_max:g})"
    box: Corners = (x_min - 1, y_min - 1, x_max, y_max)
    return objects.add(name, box, element.findtext("difficult", "").strip() == "1")


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses the declaration through which entities multiply and files are pulled in."""

    def doctype(self, *_: Any) -> None:
        raise ValueError("a DOCTYPE is not read")


def _parse(path: Path) -> ElementTree.Element:
    try:
        parser = ElementTree.XMLParser(target=_WithoutDoctype())
        return ElementTree.parse(path, parser).getroot()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
