"""The pictures a segmentation network is trained, chosen and measured on."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract import DataSource
from training.data.errors import DataError
from training.data.mask_augment import MaskAugment
from training.data.mask_folders import read_masks, split_masked
from training.data.mask_pictures import MaskPictures
from training.data.masked import VOID, MaskedSet, present
from training.data.voc_masks import gather_voc_masks, held_out_voc
from training.tasks.segment.config import Segment

Report = Callable[[str], None]

#: The parts of a set are the same for every training, so that trainings can be compared.
_SPLIT_SEED = 0
_VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
_FLICKR = "pictures of Flickr's users, for research; see the address"
_VOC_SOURCES = (
    DataSource(name="PASCAL VOC 2012", licence=_FLICKR, url=_VOC_URL),
    DataSource(
        name="SBD (masks of pictures of VOC)",
        licence=_FLICKR,
        url="http://home.bharathh.info/pubs/codes/SBD/download.html",
    ),
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A data set made ready for one configuration.

    Attributes:
        train: to learn from, varied.
        held_out: to choose the best epoch by.
        test: to measure on, once.
        pixels: ``int64[train, classes]``, of each class in each picture to learn from.
        dataset: its name, in figures.
        sources: for the manifest.
    """

    train: MaskPictures
    held_out: MaskPictures
    test: MaskPictures
    pixels: NDArray[np.int64]
    dataset: str
    sources: tuple[DataSource, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.train.masked.classes

    @property
    def background(self) -> int | None:
        """The position of the class that is no thing, if there is one."""
        name = self.train.masked.background
        return None if name is None else self.classes.index(name)

    @property
    def faults(self) -> tuple[str, ...]:
        """A line for every picture that is left out or doubtful."""
        parts = (self.train, self.held_out, self.test)
        return tuple(line for part in parts for line in part.masked.faults)


def gather(
    config: Segment,
    pad_value: int,
    report: Report = lambda _: None,
    *,
    processes: int = 1,
) -> Gathered:
    """Read the pictures a configuration names and divide them.

    Args:
        config: names the folder.
        pad_value: of the pixels beside a picture.
        report: told of each step.
        processes: that do the same on this machine; they share its memory and cores.

    Raises:
        DataError: the set cannot be had or is not what it should be.
    """
    if config.data is None:
        raise DataError(
            "name the folder of pictures and masks with --data DIR: images/, masks/ and "
            "labels.txt, or a copy of CamVid or PASCAL VOC"
        )
    report(f"reading {config.data}")
    train, held_out, test = _parts(config)
    sources: tuple[DataSource, ...]
    if config.dataset == "voc":
        dataset, sources = "VOC2012", _VOC_SOURCES
    else:
        dataset = config.data.resolve().name
        home = config.data_url
        name = dataset if home else f"{dataset} (pictures of the user)"
        sources = (DataSource(name=name, licence=config.data_licence, url=home),)
    memory, threads = config.memory_mib / processes, max(1, (os.cpu_count() or 1) // processes)

    def decoded(masked: MaskedSet, augment: MaskAugment | None = None) -> MaskPictures:
        nonlocal memory
        pictures = MaskPictures(
            masked,
            config.height,
            config.width,
            pad_value,
            augment,
            seed=config.training.seed,
            memory_mib=memory,
            threads=threads,
        )
        memory -= pictures.memory_mib
        return pictures

    augment = MaskAugment(config.augmentation, config.height, config.width, pad_value)
    varied = decoded(train, augment)
    gathered = Gathered(
        train=varied,
        held_out=decoded(held_out),
        test=decoded(test),
        pixels=present(varied.masked, threads),
        dataset=dataset,
        sources=sources,
    )
    _check(gathered)
    return gathered


def _parts(config: Segment) -> tuple[MaskedSet, MaskedSet, MaskedSet]:
    """Training, held-out and test pictures; what the folder does not divide is divided here."""
    assert config.data is not None  # gather has seen to it
    if config.dataset == "voc":
        train, test = held_out_voc(gather_voc_masks(config.data))
        train, held_out = split_masked(train, config.held_out, _SPLIT_SEED)
        return train, held_out, test
    parts = read_masks(config.data)
    train, held, tested = parts["train"], parts.get("val"), parts.get("test")
    if tested is None:
        train, tested = split_masked(train, config.test, _SPLIT_SEED)
    if held is None:
        train, held = split_masked(train, config.held_out, _SPLIT_SEED)
    return train, held, tested


def _check(gathered: Gathered) -> None:
    parts = {
        "pictures to train on": gathered.train,
        "held-out pictures": gathered.held_out,
        "test pictures": gathered.test,
    }
    for name, pictures in parts.items():
        if not len(pictures):
            faults = pictures.masked.faults
            first = f"; the first of {len(faults)} faults: {faults[0]}" if faults else ""
            raise DataError(f"there are no {name}: without, nothing is learned or measured{first}")
        if not any((pictures.original(at)[0] != VOID).any() for at in range(len(pictures))):
            raise DataError(
                f"no pixel of the {len(pictures)} {name} is of any class: is every value of the "
                "masks named in labels.txt?"
            )
    unseen = np.flatnonzero(gathered.pixels.sum(0) == 0)
    if len(unseen):
        names = ", ".join(gathered.classes[number] for number in unseen)
        raise DataError(
            f"no pixel of the {len(gathered.train)} pictures to train on is of {names}; 255 stands "
            "for void, so masks of two classes hold 0 and 1"
        )
