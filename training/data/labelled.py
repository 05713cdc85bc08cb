"""Pictures and their classes: what a classifier is trained and measured on."""

from collections.abc import Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.data.errors import DataError

Batch = tuple[Tensor, Tensor]
"""Pictures ``uint8[B, H, W, C]`` and their classes ``int64[B]``."""
Indices = Sequence[int] | Tensor


class Pictures(Protocol):
    """Pictures of one size that are read when they are asked for; must survive pickling."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number, height, width and channels."""
        ...

    def __getitem__(self, positions: Tensor, /) -> Tensor:
        """The pictures at ``positions``, ``int64[B]``, as ``uint8[B, H, W, C]``."""
        ...


class Labelled(Dataset[Batch]):
    """Pictures with one class each; a part of a set shares the pictures of the whole.

    Give it to a ``DataLoader`` with ``collate_fn=whole_batch``: it asks for a batch at a time.

    Attributes:
        targets: the class of each picture, ``int64[N]``.
        classes: the name of each class.
    """

    def __init__(
        self,
        pictures: Tensor | Pictures,
        targets: Tensor,
        classes: Sequence[str],
        positions: Tensor | None = None,
    ) -> None:
        """Put pictures and classes together.

        Args:
            pictures: ``uint8[M, H, W, C]`` with C 1 or 3, or what reads them.
            targets: the class of each of the N pictures of this set, ``int64[N]``.
            classes: the name of each class, none twice.
            positions: where in ``pictures`` those of this set are, ``int64[N]``. ``None``: all,
                in their order.

        Raises:
            DataError: the parts do not fit one another.
        """
        if len(pictures.shape) != 4 or pictures.shape[3] not in (1, 3):
            raise DataError(f"pictures are {list(pictures.shape)}, not [N, H, W, 1 or 3]")
        if isinstance(pictures, Tensor) and pictures.dtype != torch.uint8:
            raise DataError(f"pictures are {pictures.dtype}, not uint8")
        if targets.dtype != torch.int64 or targets.ndim != 1:
            raise DataError(f"targets are {targets.dtype}{list(targets.shape)}, not int64[N]")
        count = pictures.shape[0] if positions is None else len(positions)
        if len(targets) != count:
            raise DataError(f"there are {count} pictures but {len(targets)} targets")
        if len(set(classes)) != len(classes):
            raise DataError(f"a class is named twice among {', '.join(classes)}")
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < len(classes):
            raise DataError(
                f"targets reach from {int(targets.min())} to {int(targets.max())}; "
                f"there are {len(classes)} classes"
            )
        self._pictures = pictures
        self._positions = positions
        self.targets = targets
        self.classes = tuple(classes)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Batch:
        """One picture ``uint8[H, W, C]`` and its class ``int64[]``."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no picture {index} among {len(self)}")
        pictures, targets = self.__getitems__([index % len(self)])
        return pictures[0], targets[0]

    def __getitems__(self, indices: Indices) -> Batch:
        """Pictures ``uint8[B, H, W, C]`` and their classes ``int64[B]``, in the order asked for."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        positions = chosen if self._positions is None else self._positions[chosen]
        return self._pictures[positions], self.targets[chosen]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every picture."""
        _, height, width, channels = self._pictures.shape
        return height, width, channels

    @property
    def images(self) -> Tensor:
        """All pictures, ``uint8[N, H, W, C]``; those on disk are read now."""
        if self._positions is None and isinstance(self._pictures, Tensor):
            return self._pictures
        return self.__getitems__(torch.arange(len(self)))[0]

    @property
    def counts(self) -> Tensor:
        """The number of pictures of each class, ``int64[classes]``."""
        return torch.bincount(self.targets, minlength=len(self.classes))

    @property
    def is_in_memory(self) -> bool:
        """Whether the pictures are read already."""
        return isinstance(self._pictures, Tensor)

    def subset(self, indices: Indices) -> Self:
        """The pictures at some indices, in that order; none is copied."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        positions = chosen if self._positions is None else self._positions[chosen]
        return type(self)(self._pictures, self.targets[chosen], self.classes, positions)


def whole_batch(batch: Any) -> Batch:  # DataLoader means it to take a list
    """A ``collate_fn`` for a data set that hands out whole batches already."""
    whole: Batch = batch
    return whole


def split(labelled: Labelled, fraction: float, seed: int) -> tuple[Labelled, Labelled]:
    """Hold out the same fraction of every class, chosen by chance.

    Every class of two pictures or more keeps at least one on each side; a class of one keeps it
    in the rest. The same seed always chooses the same pictures; their order stays.

    Args:
        labelled: the set to divide.
        fraction: of the pictures to hold out, between 0 and 1.
        seed: of the choice.

    Returns:
        The rest, and what is held out.

    Raises:
        DataError: the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the fraction to hold out must lie between 0 and 1, not {fraction}")
    generator = torch.Generator().manual_seed(seed)
    is_held_out = torch.zeros(len(labelled), dtype=torch.bool)
    for target in range(len(labelled.classes)):
        members = torch.nonzero(labelled.targets == target)[:, 0]
        count = len(members)
        held = max(1, min(count - 1, round(count * fraction))) if count > 1 else 0
        is_held_out[members[torch.randperm(count, generator=generator)[:held]]] = True
    rest, held_out = torch.nonzero(~is_held_out)[:, 0], torch.nonzero(is_held_out)[:, 0]
    return labelled.subset(rest), labelled.subset(held_out)
