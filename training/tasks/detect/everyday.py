"""The everyday model's pictures: PASCAL VOC's 20 classes, gathered from three sets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.data.animal_pose import MASK_CLASSES, fully_labelled, read_animal_pose
from training.data.box_folders import read_boxes
from training.data.boxed import BoxedSet
from training.data.errors import DataError

CLASSES = MASK_CLASSES
"""The 20 classes, in VOC's order."""

FROM_COCO = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
    "tv": "tvmonitor",
}
"""What COCO calls differently."""


@dataclass(frozen=True, slots=True, eq=False)
class Everyday:
    """Pictures with the 20 classes.

    Attributes:
        train: to learn from, of all sources.
        val: to choose by, VOC's alone.
        test: to measure on, VOC's alone.
        sources: what each source gave to ``train``, by its name.
    """

    train: BoxedSet
    val: BoxedSet
    test: BoxedSet
    sources: Mapping[str, BoxedSet]


def gather_everyday(folder: Path, animals: int = 150, seed: int = 0) -> Everyday:
    """Put the training set together from the sets below a folder.

    - ``voc``: VOC's form with lists for train, val and test; as every other of these, it may be a
      folder further down;
    - ``coco/<any>``: sets in COCO's form, of which the pictures count that show one of the 20
      classes; all their parts are learned from;
    - ``animals``: Animal-Pose's ``keypoints.json`` and ``images``, and
    - ``masks``: VOC's segmentation masks as PNG, without which the animals are left out: they
      tell in which of their pictures everything has a box.

    Pictures are told by their file names: what is in VOC's three lists is taken from there alone,
    and what two sets hold is taken once.

    Args:
        folder: that holds these; only ``voc`` must be there.
        animals: how many of the animals' pictures at most show the same animal, so that these do
            not outweigh the other classes.
        seed: of their choice.

    Raises:
        DataError: ``voc`` is missing or not divided, or a set is there but cannot be read.
    """
    voc = {part: one.restricted_to(CLASSES) for part, one in read_boxes(folder / "voc").items()}
    if missing := {"train", "val", "test"} - voc.keys():
        raise DataError(f"{folder / 'voc'} has no list for {', '.join(sorted(missing))}")
    held_out = {item.path.stem for part in ("val", "test") for item in voc[part].items}
    sources = {"VOC": voc["train"].without(held_out)}
    taken = held_out | {item.path.stem for item in sources["VOC"].items}
    if coco := list(_coco_sets(folder / "coco")):
        sources["COCO"] = _new(_showing_some(BoxedSet.merged(coco)), taken)
    if (folder / "animals").is_dir() and (folder / "masks").is_dir():
        found = read_animal_pose(_folder_with("keypoints.json", folder / "animals"))
        complete = fully_labelled(found, _folder_with("*.png", folder / "masks"))
        new = _new(complete.restricted_to(CLASSES), taken)
        sources["Animal-Pose"] = _at_most(animals, new, seed)
    train = BoxedSet.merged(list(sources.values()))
    return Everyday(train, voc["val"], voc["test"], sources)


def _coco_sets(folder: Path) -> Iterable[BoxedSet]:
    """Every part of every set in COCO's form, its classes called as VOC's."""
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    for path in below:
        if next(path.rglob("instances*.json"), None):
            for boxed in read_boxes(path).values():
                yield boxed.renamed(FROM_COCO).restricted_to(CLASSES)


def _folder_with(pattern: str, folder: Path) -> Path:
    """The folder itself or the first below it that holds such a file."""
    for path in (folder, *sorted(folder.rglob("*/"))):
        if next(path.glob(pattern), None):
            return path
    raise DataError(f"{folder} holds no {pattern}")


def _showing_some(boxed: BoxedSet) -> BoxedSet:
    """Without the pictures that show none of the classes."""
    return replace(boxed, items=tuple(item for item in boxed.items if not item.ignored.all()))


def _new(boxed: BoxedSet, taken: set[str]) -> BoxedSet:
    """The pictures whose names are not taken, each once; their names are taken from now on."""
    items = []
    for item in boxed.items:
        if item.path.stem not in taken:
            taken.add(item.path.stem)
            items.append(item)
    return replace(boxed, items=tuple(items))


def _at_most(pictures: int, boxed: BoxedSet, seed: int) -> BoxedSet:
    """A choice by chance in which no class is in more than so many pictures; their order stays."""
    shown = np.zeros(len(boxed.classes), np.int64)
    kept = []
    for at in np.random.default_rng(seed).permutation(len(boxed)).tolist():
        labels = np.unique(boxed.items[at].labels)
        if (shown[labels] < pictures).all():
            shown[labels] += 1
            kept.append(at)
    return boxed.subset(sorted(kept))
