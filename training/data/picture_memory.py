"""Decoded pictures in memory, side by side in one block, as far as there is room."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import torch
from torch import Tensor

from training.data.errors import DataError

_MIB = 1 << 20


class PictureMemory:
    """All decoded pictures of a set, or none where they take too much.

    Worker processes share the block; a list of tensors would be copied to each, bit by bit.

    Attributes:
        holds_all: whether the pictures are kept.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], limit_mib: float) -> None:
        """Make room.

        Args:
            shapes: of the pictures, bytes each.
            limit_mib: what they may take.
        """
        self._shapes = list(shapes)
        self._ends = list(accumulate(math.prod(shape) for shape in shapes))
        self.holds_all = bool(shapes) and self._ends[-1] <= limit_mib * _MIB
        self._bytes = torch.empty(self._ends[-1] if self.holds_all else 0, dtype=torch.uint8)

    @property
    def mib(self) -> float:
        """What the pictures that are kept take."""
        return self._bytes.numel() / _MIB

    def __getitem__(self, index: int) -> Tensor:
        """A picture that is kept, ``uint8`` of its shape."""
        shape, end = self._shapes[index], self._ends[index]
        return self._bytes[end - math.prod(shape) : end].view(shape)

    def fill(
        self,
        read: Callable[[int], Tensor],
        probe: Callable[[int], object],
        threads: int | None = None,
    ) -> dict[int, str]:
        """Decode every picture once, to keep it if all are kept; forget those that are damaged.

        Args:
            read: decodes the picture at an index; raises ``DataError``.
            probe: finds the same faults sooner, for pictures that are not kept.
            threads: that decode; as many as there are cores if left out.

        Returns:
            What is wrong with a picture, by its index before the others moved up.
        """

        def attempt(index: int) -> str | None:
            try:
                if self.holds_all:
                    self[index].copy_(read(index))
                else:
                    probe(index)
            except DataError as error:
                return str(error)
            return None

        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            found = list(pool.map(attempt, range(len(self._shapes))))
        good = [index for index, fault in enumerate(found) if fault is None]
        self._shapes = [self._shapes[index] for index in good]
        self._ends = [self._ends[index] for index in good]
        return {index: fault for index, fault in enumerate(found) if fault is not None}
