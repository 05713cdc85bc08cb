"""Pictures with masks as a segmenter takes them: decoded, varied, and put into batches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from service.contract import InputGeometry
from service.resize import Placement, place
from training.data.errors import DataError
from training.data.mask_augment import Example, MaskAugment
from training.data.masked import VOID, Masked, MaskedSet, read_mask
from training.data.picture_memory import PictureMemory
from training.data.pictures import SMALLEST, prepare
from training.stepper import seed_of

#: Sides of the pictures that are varied, in those of the input: crops of them are enlarged less.
_MARGIN = 1.5


class Batch(NamedTuple):
    """Pictures ``uint8[B, 3, h, w]`` and their masks ``uint8[B, h, w]``."""

    images: Tensor
    masks: Tensor


class MaskPictures(Dataset[Example]):
    """The pictures of a set that can be decoded, with their masks.

    Without ``augment`` pictures are what the service makes of the files, by ``letterbox``, and
    masks are put in the same place, void around. With it, what is done to a picture depends on
    the seed, the epoch and the picture's index alone, not on the worker that does it.

    Attributes:
        masked: the set without the pictures that are damaged or whose masks are, of each of which
            its faults tell.
        geometry: how the service makes a picture into what is handed out without ``augment``.
    """

    def __init__(
        self,
        masked: MaskedSet,
        height: int,
        width: int,
        pad_value: int,
        augment: MaskAugment | None = None,
        *,
        seed: int = 0,
        memory_mib: float = 0,
        threads: int | None = 1,
    ) -> None:
        """Decode every picture and mask once, and keep them all if they fit into the memory.

        Args:
            masked: the pictures and their masks.
            height: of the network's input, in pixels.
            width: of the network's input, in pixels.
            pad_value: where no picture lies, 0 to 255.
            augment: varies pictures; made for the same input and ``pad_value``. It is given them
                as they are, or shrunk to fit 1.5 times the input if they are larger.
            seed: of what it does.
            memory_mib: what decoded pictures and masks may take. If they take more, each is
                decoded whenever it is asked for, best in a ``DataLoader``'s workers.
            threads: that decode now; as many as there are cores if ``None``.
        """
        self.geometry = InputGeometry(
            height=height, width=width, resize="letterbox", pad_value=pad_value
        )
        self.masked = masked
        self._augment, self._seed = augment, seed
        self._epoch = 0
        self._decoded = self.geometry
        if augment is not None:
            self._decoded = InputGeometry(
                height=round(height * _MARGIN),
                width=round(width * _MARGIN),
                resize="pad_to_multiple",
            )
        self._memory = PictureMemory([self._shape(item) for item in masked.items], memory_mib)
        faults = self._memory.fill(self._read, self._probe, threads)
        good = [index for index in range(len(masked)) if index not in faults]
        self.masked = replace(masked.subset(good), faults=(*masked.faults, *faults.values()))

    def __len__(self) -> int:
        return len(self.masked)

    @property
    def is_varied(self) -> bool:
        """Whether pictures are varied."""
        return self._augment is not None

    @property
    def is_in_memory(self) -> bool:
        """Whether the decoded pictures and masks are kept."""
        return self._memory.holds_all

    @property
    def memory_mib(self) -> float:
        """What the pictures and masks that are kept take."""
        return self._memory.mib

    @property
    def epoch(self) -> int:
        """The one that pictures are varied for."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Vary the pictures anew; workers that are to do it are started afterwards."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> Example:
        """One picture and its mask.

        Raises:
            DataError: one of them is damaged; the message names it.
        """
        index = self._checked(index)
        planes = self._memory[index] if self.is_in_memory else self._read(index)
        if self._augment is None:
            return Example(planes[:3], planes[3])
        seed = seed_of(self._seed, "picture", self.epoch, index)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # a GPU's generator goes on undisturbed
            return self._augment(planes[:3], planes[3])

    def original(self, index: int) -> tuple[NDArray[np.uint8], Placement]:
        """A mask at the upright picture's size, and where the picture lies in the input.

        Returns:
            ``uint8[H, W]``, 255 for void, and the placement of what is handed out without
            ``augment``.

        Raises:
            DataError: the mask is damaged; the message names it.
        """
        item = self.masked.items[self._checked(index)]
        return read_mask(item, len(self.masked.classes)), self.placement(index)

    def placement(self, index: int) -> Placement:
        """Where a picture lies in the input, without ``augment``; no file is read."""
        item = self.masked.items[self._checked(index)]
        return place(item.width, item.height, self.geometry)[0]

    def picture(self, index: int) -> Tensor:
        """One picture without its mask, which is not read: ``uint8[3, h, w]``, not varied.

        Raises:
            DataError: it is damaged; the message names it.
        """
        index = self._checked(index)
        if self.is_in_memory and not self.is_varied:
            return self._memory[index][:3]
        image = prepare(self.masked.items[index].path, self.geometry)
        return torch.from_numpy(image.transpose(2, 0, 1).copy())

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no picture {index} among {len(self)}")
        return index % len(self)

    def _shape(self, item: Masked) -> tuple[int, int, int]:
        """Of a picture as it is decoded: three planes of colour and one of classes."""
        _, (width, height) = place(item.width, item.height, self._decoded)
        return 4, height, width

    def _read(self, index: int) -> Tensor:
        item = self.masked.items[index]
        image = prepare(item.path, self._decoded)
        planes = np.full(self._shape(item), VOID, np.uint8)
        if image.shape[:2] != planes.shape[1:]:
            raise DataError(f"{item.path}: is no longer {item.width}x{item.height}")
        planes[:3] = image.transpose(2, 0, 1)
        placement, _ = place(item.width, item.height, self._decoded)
        mask = _shrunk(read_mask(item, len(self.masked.classes)), placement)
        left, top = (int(offset) for offset in placement.offset)
        planes[3, top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return torch.from_numpy(planes)

    def _probe(self, index: int) -> None:
        item = self.masked.items[index]
        prepare(item.path, SMALLEST)
        read_mask(item, len(self.masked.classes))


def collate(examples: Sequence[Example]) -> Batch:
    """Put pictures of one size into a batch; a ``collate_fn`` for ``DataLoader``."""
    return Batch(
        torch.stack([each.image for each in examples]),
        torch.stack([each.mask for each in examples]),
    )


def _shrunk(mask: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """A mask at the scale of a placement, each pixel's class the one at its middle."""
    scale_x, scale_y = placement.scale
    size = (round(placement.width * scale_x), round(placement.height * scale_y))
    if size == (placement.width, placement.height):
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
