"""The pictures a detector is trained, chosen and measured on."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from service.contract import DataSource
from training.data.box_augment import BoxAugment
from training.data.box_folders import read_boxes, split_boxed
from training.data.box_pictures import BoxPictures
from training.data.boxed import BoxedSet
from training.data.errors import DataError
from training.tasks.detect import everyday
from training.tasks.detect.config import Detect

Report = Callable[[str], None]

#: The parts of a set are the same for every training, so that trainings can be compared.
_SPLIT_SEED = 0
_VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
_FLICKR = "pictures of Flickr's users, for research; see the address"
_EVERYDAY_SOURCES = (
    DataSource(name="PASCAL VOC 2012", licence=_FLICKR, url=_VOC_URL),
    DataSource(
        name="COCO 2017",
        licence="annotations CC-BY-4.0; pictures of Flickr's users under their own terms",
        url="https://cocodataset.org/#termsofuse",
    ),
    DataSource(
        name="Animal-Pose (boxes in pictures of VOC)",
        licence="for research; see the address",
        url="https://sites.google.com/view/animal-pose/",
    ),
    DataSource(name="SBD (masks of pictures of VOC)", licence=_FLICKR, url=_VOC_URL),
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A data set made ready for one configuration.

    Attributes:
        train: to learn from, varied.
        held_out: to choose the best epoch by.
        test: to measure on, once.
        dataset: its name, in figures.
        sources: for the manifest.
        described: what the card says of where the pictures are from; empty if nothing.
    """

    train: BoxPictures
    held_out: BoxPictures
    test: BoxPictures
    dataset: str
    sources: tuple[DataSource, ...]
    described: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.train.boxed.classes

    @property
    def faults(self) -> tuple[str, ...]:
        """A line for every object and picture that is left out or doubtful."""
        parts = (self.train, self.held_out, self.test)
        return tuple(line for part in parts for line in part.boxed.faults)


def gather(
    config: Detect,
    size: int,
    pad_value: int,
    report: Report = lambda _: None,
    *,
    processes: int = 1,
) -> Gathered:
    """Read the pictures a configuration names and divide them.

    Args:
        config: names the folder.
        size: of the square that pictures are fitted into, a side, in pixels.
        pad_value: of the pixels beside a picture.
        report: told of each step.
        processes: that do the same on this machine; they share its memory and cores.

    Raises:
        DataError: the set cannot be had or is not what it should be, or a part shows nothing.
    """
    if config.data is None:
        raise DataError(
            "name the folder of pictures and boxes with --data DIR, in the form of PASCAL VOC or "
            "COCO"
        )
    report(f"reading {config.data}")
    sources: tuple[DataSource, ...]
    if config.dataset == "everyday":
        found = everyday.gather_everyday(config.data)
        train, held_out, test = found.train, found.val, found.test
        dataset, sources, described = "VOC2012", _EVERYDAY_SOURCES, _described(found)
    else:
        train, held_out, test = _parts(config)
        dataset = config.data.resolve().name
        home = config.data_url
        name = dataset if home else f"{dataset} (pictures of the user)"
        sources = (DataSource(name=name, licence=config.data_licence, url=home),)
        described = ""
    _check(train, held_out, test)
    memory, threads = config.memory_mib / processes, max(1, (os.cpu_count() or 1) // processes)

    def decoded(boxed: BoxedSet, augment: BoxAugment | None = None) -> BoxPictures:
        nonlocal memory
        pictures = BoxPictures(
            boxed,
            size,
            pad_value,
            augment,
            seed=config.training.seed,
            memory_mib=memory,
            threads=threads,
        )
        memory -= pictures.memory_mib
        return pictures

    gathered = Gathered(
        train=decoded(train, BoxAugment(config.augmentation, size, pad_value)),
        held_out=decoded(held_out),
        test=decoded(test),
        dataset=dataset,
        sources=sources,
        described=described,
    )
    _check(gathered.train.boxed, gathered.held_out.boxed, gathered.test.boxed)
    return gathered


def _check(train: BoxedSet, held_out: BoxedSet, test: BoxedSet) -> None:
    named = {"pictures to train on": train, "held-out pictures": held_out, "test pictures": test}
    for name, boxed in named.items():
        if not boxed.counts.any():
            first = f"; the first of {len(boxed.faults)} faults: " if boxed.faults else ""
            raise DataError(
                f"there is no object of {', '.join(boxed.classes) or 'any class'} in the "
                f"{len(boxed)} {name} (difficult ones and crowds do not count): without, nothing "
                f"is learned or measured; add some, or divide the set otherwise"
                f"{first}{next(iter(boxed.faults), '')}"
            )


def _parts(config: Detect) -> tuple[BoxedSet, BoxedSet, BoxedSet]:
    """Training, held-out and test pictures; what the folder does not divide is divided here."""
    assert config.data is not None  # gather has seen to it
    parts = read_boxes(config.data, config.classes or None)
    if "train" not in parts:
        raise DataError(
            f"{config.data} has no pictures to train on, only {' and '.join(parts)}: list some in "
            "ImageSets/Main/train.txt (PASCAL VOC), or add instances_train*.json (COCO) or "
            "train/_annotations.coco.json (Roboflow)"
        )
    train, held_out, test = parts["train"], parts.get("val"), parts.get("test")
    if test is None:
        train, test = split_boxed(train, config.test, _SPLIT_SEED)
    if held_out is None:
        train, held_out = split_boxed(train, config.held_out, _SPLIT_SEED)
    return train, held_out, test


def _described(found: everyday.Everyday) -> str:
    shares = ", ".join(f"{len(boxed)} of {name}" for name, boxed in found.sources.items())
    return (
        f"Pictures to train on: {shares}. The epoch was chosen and the result measured on pictures "
        "of VOC alone, which are not among those."
    )
