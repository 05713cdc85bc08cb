"""Pictures with boxes as a detector takes them: decoded, varied, and put into batches."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from service.contract import InputGeometry
from service.resize import place
from training.data.box_augment import BoxAugment, Example
from training.data.boxed import Boxed, BoxedSet
from training.data.errors import DataError
from training.data.picture_memory import PictureMemory
from training.data.pictures import SMALLEST, prepare
from training.stepper import seed_of

Target = dict[str, Tensor]
"""Of one picture: ``boxes float32[K, 4]``, ``labels int64[K]`` and ``ignored bool[K]``."""
Batch = tuple[Tensor, list[Target]]
"""Pictures ``uint8[B, 3, S, S]`` and what is in them."""

#: Sides of the pictures that are varied, in those of the canvas: crops of them are enlarged less.
_MARGIN = 1.25


class BoxPictures(Dataset[Example]):
    """The pictures of a set that can be decoded, on a square canvas.

    Without ``augment`` they are what the service makes of the files, by ``letterbox``. With it,
    what is done to a picture depends on the seed, the epoch and the picture's index alone, not on
    the worker that does it.

    Attributes:
        boxed: the set without the pictures that are damaged, of each of which its faults tell.
        geometry: how the service makes a picture into what is handed out without ``augment``.
    """

    def __init__(
        self,
        boxed: BoxedSet,
        size: int,
        pad_value: int,
        augment: BoxAugment | None = None,
        *,
        seed: int = 0,
        memory_mib: float = 2048,
        threads: int | None = None,
    ) -> None:
        """Decode every picture once, and keep them all if they fit into the memory.

        Args:
            boxed: the pictures and their objects.
            size: of the canvas, a side, in pixels.
            pad_value: of the canvas where no picture lies, 0 to 255.
            augment: varies pictures; made for the same ``size`` and ``pad_value``.
            seed: of what it does.
            memory_mib: what decoded pictures may take. If they take more, each is decoded
                whenever it is asked for, best in a ``DataLoader``'s workers.
            threads: that decode now; as many as there are cores if left out.
        """
        self.boxed = boxed
        self.geometry = InputGeometry(
            height=size, width=size, resize="letterbox", pad_value=pad_value
        )
        self._augment, self._seed = augment, seed
        self._epoch = 0
        self._decoded = self.geometry
        if augment is not None:
            side = round(size * _MARGIN)
            self._decoded = InputGeometry(height=side, width=side, resize="pad_to_multiple")
        shapes = [(*self._size(item), 3) for item in boxed.items]
        self._memory = PictureMemory(shapes, memory_mib)
        faults = self._memory.fill(
            self._read, lambda index: prepare(boxed.items[index].path, SMALLEST), threads
        )
        good = [index for index in range(len(boxed)) if index not in faults]
        self.boxed = replace(boxed.subset(good), faults=(*boxed.faults, *faults.values()))

    def __len__(self) -> int:
        return len(self.boxed)

    @property
    def is_varied(self) -> bool:
        """Whether pictures are varied."""
        return self._augment is not None

    @property
    def is_in_memory(self) -> bool:
        """Whether the decoded pictures are kept."""
        return self._memory.holds_all

    @property
    def epoch(self) -> int:
        """The one that pictures are varied for."""
        return self._epoch

    @property
    def memory_mib(self) -> float:
        """What the pictures that are kept take."""
        return self._memory.mib

    def set_epoch(self, epoch: int) -> None:
        """Vary the pictures anew; workers that are to do it are started afterwards."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> Example:
        """One picture and its objects.

        Raises:
            DataError: the picture is damaged; the message names it.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no picture {index} among {len(self)}")
        index %= len(self)
        item = self.boxed.items[index]
        pixels = self._memory[index] if self.is_in_memory else self._read(index)
        image = pixels.permute(2, 0, 1)
        placement, _ = place(item.width, item.height, self._decoded)
        scale, offset = (torch.tensor(pair * 2) for pair in (placement.scale, placement.offset))
        boxes = torch.from_numpy(item.boxes) * scale + offset
        labels, ignored = torch.from_numpy(item.labels), torch.from_numpy(item.ignored)
        if self._augment is None:
            return Example(image, boxes, labels, ignored)
        seed = seed_of(self._seed, "picture", self.epoch, index)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # a GPU's generator goes on undisturbed
            return self._augment(image, boxes, labels, ignored)

    def _size(self, item: Boxed) -> tuple[int, int]:
        """Height and width of a picture as it is decoded."""
        _, (width, height) = place(item.width, item.height, self._decoded)
        return height, width

    def _read(self, index: int) -> Tensor:
        item = self.boxed.items[index]
        pixels = torch.from_numpy(prepare(item.path, self._decoded).copy())
        if pixels.shape[:2] != self._size(item):
            raise DataError(f"{item.path}: is no longer {item.width}x{item.height}")
        return pixels


def collate(examples: Sequence[Example]) -> Batch:
    """Put pictures of one size into a batch; a ``collate_fn`` for ``DataLoader``."""
    targets = [
        {"boxes": each.boxes, "labels": each.labels, "ignored": each.ignored} for each in examples
    ]
    return torch.stack([each.image for each in examples]), targets
