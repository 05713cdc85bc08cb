"""Pictures and the objects in them: what a detector is trained and measured on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import SightlineError
from service.images import FORMATS, SIDEWAYS, Limits, Size, orientation_of
from training.data.errors import DataError

Corners = tuple[float, float, float, float]
"""``x_min, y_min, x_max, y_max`` of a box in pixels of the upright picture."""

#: Pixels by which a box may stick out of its picture before that is worth a line.
_STRAY = 2.0
#: EXIF orientations that swap width and height, and those that then count from the far side.
_FROM_RIGHT, _FROM_BOTTOM = (6, 7), (7, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Boxed:
    """A picture file and the objects in it.

    Attributes:
        path: of the file.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        boxes: ``float32[K, 4]``, ``x_min, y_min, x_max, y_max`` in pixels of the upright picture,
            within it and never empty.
        labels: ``int64[K]``, positions in ``BoxedSet.classes``, from 0.
        ignored: ``bool[K]``, VOC's "difficult" and COCO's "iscrowd": neither learned from as
            objects nor counted in an evaluation.

    Raises:
        DataError: the three do not fit one another, or a box is empty or not within the picture.
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes.shape != (count, 4) or self.ignored.shape != (count,):
            raise DataError(
                f"{self.path}: boxes {list(self.boxes.shape)}, labels [{count}] and ignored "
                f"{list(self.ignored.shape)} do not fit one another"
            )
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        if not ((low >= 0) & (low < high) & (high <= (self.width, self.height))).all():
            raise DataError(f"{self.path}: a box is empty or not within the picture")

    def chosen(self, keep: NDArray[np.bool_], labels: NDArray[np.int64] | None = None) -> Self:
        """The same picture with the objects where ``keep``, ``bool[K]``, is true.

        Args:
            keep: which objects stay.
            labels: of those, ``int64[kept]``. ``None``: as they were.
        """
        return replace(
            self,
            boxes=self.boxes[keep],
            labels=self.labels[keep] if labels is None else labels,
            ignored=self.ignored[keep],
        )


@dataclass(frozen=True, slots=True, eq=False)
class BoxedSet:
    """Pictures with the objects in them.

    Attributes:
        classes: the name of each class, none twice.
        items: the pictures, also those without objects.
        faults: a line for every box or picture left out or doubtful, with the file's name and the
            reason.
    """

    classes: tuple[str, ...]
    items: tuple[Boxed, ...]
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"a class is named twice among {', '.join(self.classes)}")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of objects of each class, ``int64[classes]``; ignored ones do not count."""
        labels = [item.labels[~item.ignored] for item in self.items]
        return np.bincount(
            np.concatenate([np.empty(0, np.int64), *labels]), minlength=len(self.classes)
        ).astype(np.int64)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """The pictures at some indices, in that order."""
        return replace(self, items=tuple(self.items[int(index)] for index in indices))

    def without(self, stems: Collection[str]) -> Self:
        """The pictures whose files are not called so; names without folder and suffix."""
        return replace(self, items=tuple(i for i in self.items if i.path.stem not in stems))

    def restricted_to(self, classes: Sequence[str]) -> Self:
        """The same pictures with objects of these classes alone, numbered in this order.

        Names the set does not have become classes without objects.
        """
        return self._numbered(classes, {name: name for name in self.classes})

    def renamed(self, mapping: Mapping[str, str]) -> Self:
        """The same with other names; classes that come to be called alike become one.

        Args:
            mapping: old names to new ones. Names that are missing in it stay; old names that the
                set does not have are passed over.
        """
        names = {name: mapping.get(name, name) for name in self.classes}
        return self._numbered(tuple(dict.fromkeys(names.values())), names)

    def _numbered(self, classes: Sequence[str], names: Mapping[str, str]) -> Self:
        """With other classes, given what each of the present ones is called among them."""
        number = {name: position for position, name in enumerate(classes)}
        table = np.array([number.get(names[name], -1) for name in self.classes], np.int64)
        items = []
        for item in self.items:
            labels = table[item.labels]
            items.append(item.chosen(labels >= 0, labels[labels >= 0]))
        return replace(self, classes=tuple(classes), items=tuple(items))

    @classmethod
    def merged(cls, sets: Sequence["BoxedSet"]) -> Self:
        """Sets of the same classes one after the other.

        Raises:
            DataError: there are none, or their classes differ.
        """
        if not sets:
            raise DataError("there are no sets to merge")
        for other in sets[1:]:
            if other.classes != sets[0].classes:
                differing = sorted(set(other.classes) ^ set(sets[0].classes))
                raise DataError(
                    "sets to merge must have the same classes in the same order; "
                    + (f"not in both: {', '.join(differing)}" if differing else "the order differs")
                )
        return cls(
            sets[0].classes,
            tuple(item for one in sets for item in one.items),
            tuple(line for one in sets for line in one.faults),
        )


@dataclass(slots=True)
class Objects:
    """The objects of one picture while its annotations are read.

    Attributes:
        path: of the picture.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        drawn_on: the EXIF orientation of the stored picture that the boxes were drawn on; 1 if
            they were drawn on the upright one.
        names: the class of each object.
    """

    path: Path
    width: int
    height: int
    drawn_on: int = 1
    names: list[str] = field(default_factory=list)
    _boxes: list[Corners] = field(default_factory=list)
    _ignored: list[bool] = field(default_factory=list)

    @classmethod
    def of_picture(cls, path: Path, claimed: tuple[str, str] | None) -> tuple[Self, list[str]]:
        """Begin with a picture, whose size is its own, whatever is claimed.

        A size that is claimed and is that of a picture stored on its side, before EXIF turns it,
        tells that its boxes were drawn so. They are turned with the picture. Orientations that
        keep width and height cannot be told so; boxes are taken to be of the upright picture.

        Args:
            path: of the picture.
            claimed: width and height as the annotations have them, if they have both.

        Returns:
            The objects, none yet, and a line if what is claimed is not the upright size.

        Raises:
            DataError: the picture is missing, none we read, or too large.
        """
        stored, orientation = _header(path)
        width, height = _upright(stored, orientation)
        if claimed is None or claimed == (str(width), str(height)):
            return cls(path, width, height), []
        line = f"{path}: is said to be {'x'.join(claimed)}, but is {width}x{height}"
        if orientation not in SIDEWAYS or claimed != (str(stored[0]), str(stored[1])):
            return cls(path, width, height), [line]
        line += " once EXIF has turned it; its boxes are turned as well"
        return cls(path, width, height, orientation), [line]

    def add(self, name: str, box: Corners, ignored: bool) -> str | None:
        """Take an object, clipped to the picture; one without an area there is left out.

        Args:
            name: its class.
            box: in pixels of the picture that boxes were drawn on.
            ignored: see ``Boxed``.

        Returns:
            What is wrong with its box, if anything is.
        """
        if not np.isfinite(box).all():
            return "has a corner that is not a number"
        if box[2] <= box[0] or box[3] <= box[1]:
            return "has no area"
        box = self._turned(box)
        limits = (self.width, self.height) * 2
        clipped = np.clip(np.asarray(box, np.float32), 0, np.asarray(limits, np.float32))
        x_min, y_min, x_max, y_max = clipped.tolist()
        if x_max <= x_min or y_max <= y_min:
            return f"lies outside the picture ({self.width}x{self.height})"
        self.names.append(name)
        self._boxes.append((x_min, y_min, x_max, y_max))
        self._ignored.append(ignored)
        out = float(np.abs(clipped - np.asarray(box)).max())
        if out > _STRAY:
            return f"stuck out of the picture ({self.width}x{self.height}) by {out:g}; clipped"
        return None

    def _turned(self, box: Corners) -> Corners:
        """A box of the picture that it was drawn on, in the upright one."""
        if self.drawn_on not in SIDEWAYS:
            return box
        top, left, bottom, right = box
        if self.drawn_on in _FROM_RIGHT:
            left, right = self.width - right, self.width - left
        if self.drawn_on in _FROM_BOTTOM:
            top, bottom = self.height - bottom, self.height - top
        return left, top, right, bottom

    def boxed(self, classes: Sequence[str]) -> Boxed:
        """What was taken, numbered by ``classes``, which has all names."""
        number = {name: position for position, name in enumerate(classes)}
        return Boxed(
            self.path,
            self.width,
            self.height,
            np.array(self._boxes, np.float32).reshape(-1, 4),
            np.array([number[name] for name in self.names], np.int64),
            np.array(self._ignored, np.bool_),
        )


def upright_size(path: Path) -> Size:
    """Width and height of a picture after its EXIF orientation; only the header is read.

    Raises:
        DataError: the file is missing, no picture we read, or too large.
    """
    return _upright(*_header(path))


def _upright(stored: Size, orientation: int) -> Size:
    return stored[::-1] if orientation in SIDEWAYS else stored


def _header(path: Path) -> tuple[Size, int]:
    """Width and height of a picture as it is stored, and its EXIF orientation."""
    try:
        with Image.open(path, formats=[name.upper() for name in FORMATS]) as image:
            Limits().check(*image.size)
            return image.size, orientation_of(image)
    except SightlineError as error:
        raise DataError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such picture") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them raise
        raise DataError(f"{path}: cannot be read as a picture") from error
