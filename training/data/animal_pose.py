"""Animal-Pose: photographs of dogs, cats, sheep, horses and cows, and which of them to trust.

Cao et al., Cross-Domain Adaptation for Animal Pose Estimation, 2019,
https://arxiv.org/abs/1908.05806; https://github.com/noahcao/animal-pose-dataset. Most of the
photographs are PASCAL VOC's. Only the five animals have boxes, whatever else is in the picture.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.boxed import Boxed, BoxedSet, Objects, upright_size
from training.data.errors import DataError

MASK_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""PASCAL VOC's classes; the first is 1 in the masks, where 0 is none of them and 255 the edges."""

#: The share of a picture below which what a mask shows is no object, and how many pixels a mask
#: may stick out of the box around the same animal.
_SPECK, _MARGIN = 0.001, 4


def read_animal_pose(folder: Path) -> BoxedSet:
    """Read ``keypoints.json`` and the pictures in ``images``; the key points are passed over.

    Args:
        folder: that holds both.

    Returns:
        The pictures in the order of the file; the classes as ``categories`` has them.

    Raises:
        DataError: the file is missing or has another structure, or no picture can be read.
    """
    path = folder / "keypoints.json"
    files, annotations, names = _load(path)
    found: dict[str, Objects] = {}
    unread = set()
    faults = []
    for key, name in files.items():
        picture = folder / "images" / PurePosixPath(str(name)).name
        try:
            found[key] = Objects(picture, *upright_size(picture))
        except DataError as error:
            unread.add(key)
            faults.append(str(error))
    if not found:
        raise DataError(f"{path}: none of its {len(files)} pictures can be read")
    for number, entry in enumerate(annotations, 1):
        key = str(entry.get("image_id"))
        if key in unread:
            continue
        fault = _add(found.get(key), names.get(str(entry.get("category_id"))), entry)
        if fault is not None:
            where = found[key].path if key in found else path
            faults.append(f"{where}: box {number} {fault}")
    classes = tuple(names.values())
    return BoxedSet(classes, tuple(o.boxed(classes) for o in found.values()), tuple(faults))


def fully_labelled(boxed: BoxedSet, masks: Path) -> BoxedSet:
    """Keep the pictures in which, as their masks show, every object of VOC's classes has a box.

    A picture is dropped if its mask shows more than a speck of a class outside all boxes of that
    class, be it another class or another animal; and if it has no mask, as nothing is known then.

    Args:
        boxed: pictures with boxes of some of ``MASK_CLASSES``.
        masks: a folder of PNGs named like the pictures, whose pixels are ``MASK_CLASSES``.

    Raises:
        DataError: there is no such folder, or it has no mask of any picture.
    """
    if not masks.is_dir():
        raise DataError(f"{masks} is not a folder")
    kept = []
    faults = list(boxed.faults)
    seen = False
    for item in boxed.items:
        path = masks / f"{item.path.stem}.png"
        if not path.is_file():
            continue
        seen = True
        try:
            mask = _read_mask(path, item)
        except DataError as error:
            faults.append(str(error))
            continue
        if _covers(item, boxed.classes, mask):
            kept.append(item)
    if not seen:
        raise DataError(f"{masks} has no mask of any of the {len(boxed)} pictures")
    return replace(boxed, items=tuple(kept), faults=tuple(faults))


def _covers(item: Boxed, classes: Sequence[str], mask: NDArray[np.uint8]) -> bool:
    """Whether the boxes leave no more than specks of the mask uncovered."""
    speck = _SPECK * mask.size
    pixels = np.bincount(mask.ravel(), minlength=len(MASK_CLASSES) + 1)
    for value, name in enumerate(MASK_CLASSES, 1):
        if pixels[value] <= speck:
            continue
        uncovered = mask == value
        for box, label in zip(item.boxes, item.labels, strict=True):
            if classes[label] == name:
                left, top = np.maximum(np.floor(box[:2]).astype(int) - _MARGIN, 0).tolist()
                right, bottom = (np.ceil(box[2:]).astype(int) + _MARGIN).tolist()
                uncovered[top:bottom, left:right] = False
        if np.count_nonzero(uncovered) > speck:
            return False
    return True


def _read_mask(path: Path, item: Boxed) -> NDArray[np.uint8]:
    """The classes of a picture's pixels: ``uint8[height, width]``."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode not in ("P", "L"):
                raise DataError(f"{path}: holds colours, not classes")
            mask = np.asarray(image)
    except DataError:
        raise
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        raise DataError(f"{path}: cannot be read as a mask") from error
    if mask.shape != (item.height, item.width):
        raise DataError(
            f"{path}: is {mask.shape[1]}x{mask.shape[0]}, but {item.path.name} is "
            f"{item.width}x{item.height}"
        )
    return mask


def _load(path: Path) -> tuple[dict[str, str], list[Mapping[str, Any]], dict[str, str]]:
    """The files by their ids, the annotations, and the classes by theirs."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error})") from error
    try:
        names = {str(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        annotations = content["annotations"]
        if not all(isinstance(entry, dict) for entry in annotations):
            raise TypeError
        return dict(content["images"]), list(annotations), names
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: must hold images as a table of file names by their ids, and lists of "
            "annotations and categories"
        ) from error


def _add(objects: Objects | None, name: str | None, entry: Mapping[str, Any]) -> str | None:
    if objects is None:
        return f"belongs to the picture {entry.get('image_id')}, which is not listed"
    if name is None:
        return f"is of the category {entry.get('category_id')}, which is not listed"
    box = entry.get("bbox")
    try:
        x_min, y_min, x_max, y_max = (float(value) for value in box or ())
    except (TypeError, ValueError):
        return f"({name}) must be four numbers, x and y of two corners, not {box!r}"
    fault = objects.add(name, (x_min, y_min, x_max, y_max), ignored=False)
    return None if fault is None else f"({name}) {fault}"
