"""Pictures and what people say of them: what a captioner is trained and measured on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from service.errors import UnsupportedImageError
from service.images import sniff
from training.data.errors import DataError
from training.data.held_out import hold_out
from training.data.listing import PARTS
from training.data.pictures import SMALLEST, SUFFIXES, Report, examine
from training.data.words import tokenise

Form = Literal["flickr8k", "karpathy", "coco", "own"]

#: ``restval`` are those of COCO's pictures to validate with that Karpathy gives to learn from.
_SPLITS = PARTS | {"dev": "val", "restval": "train"}
#: Enough of a file to tell which format it has.
_HEAD = 16


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture file and its captions.

    Attributes:
        path: of the picture.
        captions: as people wrote them, at least one; each has a word.
    """

    path: Path
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptionedSet:
    """Pictures with captions.

    Attributes:
        items: the pictures.
        faults: a line for every picture or caption left out, with the file's name and the reason.
    """

    items: tuple[Captioned, ...]
    faults: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def captions(self) -> list[str]:
        """All captions of all pictures."""
        return [caption for item in self.items for caption in item.captions]

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """The pictures at some indices, in that order."""
        return replace(self, items=tuple(self.items[int(index)] for index in indices))


@dataclass(frozen=True, slots=True)
class Parts:
    """A set divided; no picture is in two parts.

    Attributes:
        train: to learn from; its faults tell of pictures that are in no part, too.
        held_out: to choose by.
        test: to measure on, once.
        form: how it came; ``flickr8k`` has the set's standard parts, ``karpathy`` those of
            Karpathy and Fei-Fei.
    """

    train: CaptionedSet
    held_out: CaptionedSet
    test: CaptionedSet
    form: Form

    @property
    def faults(self) -> tuple[str, ...]:
        """Of all parts."""
        return (*self.train.faults, *self.held_out.faults, *self.test.faults)


def gather(captions: Mapping[Path, Iterable[str]]) -> CaptionedSet:
    """Put pictures and their captions together.

    Of every file the first bytes are read, so that one that is missing or no picture is found at
    once; ``sound`` finds damaged ones.

    Args:
        captions: of each file.

    Returns:
        The pictures in the order of ``captions``, white space in captions made single spaces.
    """
    items: list[Captioned] = []
    faults: list[str] = []
    for path, texts in captions.items():
        every = [" ".join(text.split()) for text in texts]
        told = tuple(text for text in every if tokenise(text))
        if fault := _fault(path):
            faults.append(f"{path}: {fault}")
            continue
        if not told:
            faults.append(f"{path}: there is no word in its captions")
            continue
        if len(told) < len(every):
            faults.append(f"{path}: {len(every) - len(told)} of its captions have no word")
        items.append(Captioned(path, told))
    return CaptionedSet(tuple(items), tuple(faults))


def locate(name: str, folders: Sequence[Path]) -> Path:
    r"""The file of a picture by its name in annotations.

    Args:
        name: relative to one of the folders, with strokes of either kind; where it has no suffix,
            the file may have any that is read.
        folders: to look into, in this order; one at least.

    Returns:
        The first that is there; if none is, where it would be in the first folder.

    Raises:
        DataError: the name is empty, absolute, or leads out of the folders with ``..``.
    """
    parts = PureWindowsPath(name)  # which splits at both kinds of stroke
    if not parts.name:
        raise DataError("the picture has no name")
    if parts.root or ".." in parts.parts:
        raise DataError(f"{name!r} leads out of {folders[0]}; name pictures from there on")
    below = Path(*parts.parts)
    names = [below]
    if below.suffix.lower() not in SUFFIXES:
        names += [below.with_name(below.name + end) for s in SUFFIXES for end in (s, s.upper())]
    for each in names:
        for folder in folders:
            if (folder / each).is_file():
                return folder / each
    return folders[0] / below


def part_of(split: str) -> str:
    """Which part, ``train``, ``val`` or ``test``, is meant by what annotations call it.

    Raises:
        DataError: none is.
    """
    part = _SPLITS.get(split.strip().lower())
    if part is None:
        raise DataError(f"the split {split!r} is none of {', '.join(_SPLITS)}")
    return part


def sound(captioned: CaptionedSet, report: Report | None = None) -> CaptionedSet:
    """A set without the pictures that cannot be decoded; its faults tell of each.

    Every picture is decoded once, on all cores.

    Args:
        captioned: the set.
        report: told now and then how many pictures are done, and of how many.
    """
    damaged = examine([item.path for item in captioned.items], SMALLEST, report=report)
    good = [index for index in range(len(captioned)) if index not in damaged]
    return replace(captioned.subset(good), faults=(*captioned.faults, *damaged.values()))


def split_captioned(
    captioned: CaptionedSet, share: float, seed: int
) -> tuple[CaptionedSet, CaptionedSet]:
    """Hold out a share of the pictures, chosen by chance, see ``hold_out``.

    Their order stays; faults stay with the rest.

    Args:
        captioned: the set to divide.
        share: of the pictures to hold out, between 0 and 1.
        seed: of the choice.

    Returns:
        The rest, and what is held out.

    Raises:
        DataError: the share is not between 0 and 1, or there are fewer than two pictures.
    """
    if len(captioned) < 2:
        raise DataError(
            f"{len(captioned)} pictures with captions cannot be divided: give more, at least one "
            "each to learn from, to choose by and to measure on"
        )
    is_held_out = hold_out(np.zeros(len(captioned), np.int64), share, seed)
    rest, held_out = (
        captioned.subset(np.flatnonzero(keep)) for keep in (~is_held_out, is_held_out)
    )
    return rest, replace(held_out, faults=())


def first_of(faults: Sequence[str]) -> str:
    """The first of some faults, to end a message with; nothing where there are none."""
    return f"; the first of {len(faults)} faults: {faults[0]}" if faults else ""


def check_apart(parts: Mapping[str, CaptionedSet], source: Path) -> None:
    """Raise DataError if a picture is in two parts: what is measured must not have been learned."""
    seen: dict[Path, str] = {}
    for part, captioned in parts.items():
        for item in captioned.items:
            other = seen.setdefault(item.path, part)
            if other != part:
                raise DataError(
                    f"{source}: {item.path.name} is in {other} and in {part}; keep it in one, or "
                    "what is learned by heart counts as what is known"
                )


def _fault(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            sniff(file.read(_HEAD))
    except FileNotFoundError:
        return "there is no such picture"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except UnsupportedImageError as error:
        return str(error)
    return None
