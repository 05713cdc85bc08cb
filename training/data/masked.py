"""Pictures and the class of each of their pixels: what a segmenter is trained and measured on."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.drawing import Colour
from service.palette import voc_colour
from training.data.boxed import upright_size
from training.data.errors import DataError

VOID = 255
"""Stands in a mask where no class is known; such pixels are neither learned from nor counted."""

_VALUES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B")
_COLOURS = ("RGB", "RGBA")
#: Where a PNG, whose first chunk is always IHDR, says how many bits a value has.
_DEPTH = 24


@dataclass(frozen=True, slots=True)
class Coding:
    """What stands for each class in a mask file.

    Attributes:
        values: in indexed and grey files. ``None``: the class's position.
        colours: in colour files. ``None``: such files are refused.
    """

    values: tuple[int, ...] | None = None
    colours: tuple[Colour, ...] | None = None


_POSITIONS = Coding()


@dataclass(frozen=True, slots=True)
class Masked:
    """A picture file and the file of its mask.

    Attributes:
        path: of the picture.
        mask: a PNG: indexed, grey or in colours, of the upright picture's size.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        coding: of the mask; values and colours that it does not name are void, and so is 255.
    """

    path: Path
    mask: Path
    width: int
    height: int
    coding: Coding = _POSITIONS

    @classmethod
    def of_files(cls, path: Path, mask: Path, coding: Coding = _POSITIONS) -> Self:
        """A picture and its mask, of which only the headers are read.

        EXIF turns the picture upright. Masks carry no EXIF: they are drawn on what is seen.

        Raises:
            DataError: one is missing, damaged, or of a kind that is not read, or they differ in
                size.
        """
        width, height = upright_size(path)
        with _opened(mask) as image:
            size = image.size
            _check_kind(image, mask, coding)
        if size != (width, height):
            raise DataError(
                f"{mask}: is {size[0]}x{size[1]}, but the picture, upright, is {width}x{height}"
            )
        return cls(path, mask, width, height, coding)


@dataclass(frozen=True, slots=True)
class MaskedSet:
    """Pictures with the class of each pixel.

    Attributes:
        classes: the name of each class, none twice, 255 at most; void is none of them.
        items: the pictures.
        faults: a line for every picture left out, with the file's name and the reason.
        palette: the colour of each class, if the set has its own.
        background: the class of what is none of the others, if there is one.

    Raises:
        DataError: these do not fit one another.
    """

    classes: tuple[str, ...]
    items: tuple[Masked, ...]
    faults: tuple[str, ...] = ()
    palette: tuple[Colour, ...] | None = None
    background: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"a class is named twice among {', '.join(self.classes)}")
        if len(self.classes) > VOID:
            raise DataError(f"there are {len(self.classes)} classes; a mask has room for {VOID}")
        if self.palette is not None and len(self.palette) != len(self.classes):
            raise DataError(f"{len(self.classes)} classes have {len(self.palette)} colours")
        if self.background is not None and self.background not in self.classes:
            raise DataError(f"the background {self.background!r} is not among the classes")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The colour of each class: the set's own, else VOC's colour map.

        Its first, black, is for the background, which other sets do without.
        """
        if self.palette is not None:
            return self.palette
        first = 0 if self.background is not None else 1
        return tuple(voc_colour(number) for number in range(first, first + len(self.classes)))

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """The pictures at some indices, in that order."""
        return replace(self, items=tuple(self.items[int(index)] for index in indices))

    def without(self, stems: Collection[str]) -> Self:
        """The pictures whose files are not called so; names without folder and suffix."""
        return replace(self, items=tuple(i for i in self.items if i.path.stem not in stems))


def pair(
    stems: Iterable[str],
    pictures: Mapping[str, Sequence[Path]],
    masks: Mapping[str, Sequence[Path]],
    coding: Coding = _POSITIONS,
) -> tuple[tuple[Masked, ...], tuple[str, ...]]:
    """Pictures with their masks, by their names without folder and suffix.

    Args:
        stems: the names, in order.
        pictures: the files of each name; the first is taken that is read and fits a mask.
        masks: the same of masks.
        coding: of all masks.

    Returns:
        The pictures, and a line for each that is left out.

    Raises:
        DataError: none is left.
    """
    items: list[Masked] = []
    faults: list[str] = []
    for stem in stems:
        try:
            items.append(_first(stem, pictures.get(stem, ()), masks.get(stem, ()), coding))
        except DataError as error:
            faults.append(str(error))
    if not items:
        first = f"; the first of {len(faults)} faults: {faults[0]}" if faults else ""
        raise DataError(f"there is no picture with a mask{first}")
    return tuple(items), tuple(faults)


def by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by their names without folder and suffix, those of one name sorted."""
    found: dict[str, list[Path]] = {}
    for path in sorted(paths):
        found.setdefault(path.stem, []).append(path)
    return found


def read_mask(item: Masked, classes: int) -> NDArray[np.uint8]:
    """The class of each pixel.

    Args:
        item: whose mask to read.
        classes: how many there are.

    Returns:
        ``uint8[H, W]``, positions in ``MaskedSet.classes``, ``VOID`` where there is no class.

    Raises:
        DataError: the mask is missing or damaged, or no longer as it was; the message names it.
    """
    with _opened(item.mask) as image:
        if image.size != (item.width, item.height):
            raise DataError(f"{item.mask}: is no longer {item.width}x{item.height}")
        _check_kind(image, item.mask, item.coding)
        try:
            if image.mode in _COLOURS:
                return _of_colours(np.asarray(image.convert("RGB")), item.coding.colours or ())
            values = np.asarray(image.getchannel(0) if image.mode in ("LA", "PA") else image)
            if image.mode == "L":
                values = values // _grey_step(item.mask)
        except Exception as error:  # Pillow's reader raises whatever a damaged file makes it raise
            raise DataError(f"{item.mask}: the PNG file is damaged ({error})") from error
    table = np.full(VOID + 1, VOID, np.uint8)
    table[list(item.coding.values or range(classes))] = np.arange(classes, dtype=np.uint8)
    table[VOID] = VOID
    if values.dtype != np.uint8:
        values = np.where((values >= 0) & (values < VOID), values, VOID).astype(np.uint8)
    mask: NDArray[np.uint8] = table[values]
    return mask


def present(masked: MaskedSet, threads: int | None = None) -> NDArray[np.int64]:
    """How many pixels of each class each mask has, ``int64[items, classes]``.

    Every mask is read. What a row lacks to the picture's pixels is void.

    Args:
        masked: the set.
        threads: that read; as many as there are cores if left out.

    Raises:
        DataError: a mask is missing or damaged; the message names it.
    """
    kept, pixels = sound(masked, threads)
    if len(kept) < len(masked):
        raise DataError(kept.faults[len(masked.faults)])
    return pixels


def sound(masked: MaskedSet, threads: int | None = None) -> tuple[MaskedSet, NDArray[np.int64]]:
    """A set without the pictures whose masks cannot be read, and what ``present`` says of it.

    Every mask is read, once.

    Args:
        masked: the set.
        threads: that read; as many as there are cores if left out.

    Returns:
        The set, whose faults tell of each picture left out, and ``int64[items, classes]``.
    """
    classes = len(masked.classes)

    def count(item: Masked) -> NDArray[np.int64] | str:
        try:
            mask = read_mask(item, classes)
        except DataError as error:
            return str(error)
        return np.bincount(mask.ravel(), minlength=VOID + 1)[:classes].astype(np.int64)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        found = list(pool.map(count, masked.items))
    good = [index for index, row in enumerate(found) if not isinstance(row, str)]
    faults = [row for row in found if isinstance(row, str)]
    pixels = np.array([found[index] for index in good], np.int64).reshape(-1, classes)
    return replace(masked.subset(good), faults=(*masked.faults, *faults)), pixels


def _first(stem: str, pictures: Sequence[Path], masks: Sequence[Path], coding: Coding) -> Masked:
    """The first picture of a name that fits a mask of it."""
    if not pictures:
        raise DataError(f"{masks[0] if masks else stem}: there is no picture for it")
    if not masks:
        raise DataError(f"{pictures[0]}: there is no mask for it")
    faults = []
    for mask in masks:
        for path in pictures:
            try:
                return Masked.of_files(path, mask, coding)
            except DataError as error:
                faults.append(error)
    raise faults[0]


def _opened(mask: Path) -> Image.Image:
    """A mask of which the header is read."""
    try:
        return Image.open(mask, formats=["PNG"])
    except FileNotFoundError as error:
        raise DataError(f"{mask}: there is no such mask") from error
    except Exception as error:  # Pillow's reader raises whatever a damaged file makes it raise
        raise DataError(f"{mask}: cannot be read as a PNG") from error


def _check_kind(image: Image.Image, mask: Path, coding: Coding) -> None:
    if image.mode in _VALUES or (image.mode in _COLOURS and coding.colours is not None):
        return
    raise DataError(
        f"{mask}: is a picture in colours; masks must be indexed or grey, or labels.txt must give "
        "every class the colour that stands for it, as in 'road #804080'"
    )


def _grey_step(mask: Path) -> int:
    """What Pillow multiplies grey of 2 or 4 bits by, so that white is 255."""
    with mask.open("rb") as file:
        depth = file.read(_DEPTH + 1)[_DEPTH]
    return VOID // ((1 << depth) - 1)


def _of_colours(pixels: NDArray[Any], colours: Sequence[Colour]) -> NDArray[np.uint8]:
    """Positions of colours, ``uint8[H, W]`` of ``uint8[H, W, 3]``."""
    weights = np.array((1 << 16, 1 << 8, 1), np.int32)
    numbers = np.array(colours, np.int32) @ weights
    order = np.argsort(numbers)
    found = pixels.astype(np.int32) @ weights
    nearest = order[np.searchsorted(numbers[order], found).clip(max=len(order) - 1)]
    return np.where(numbers[nearest] == found, nearest, VOID).astype(np.uint8)
