"""The order in which pictures are seen: the same for any number of processes, at any resume."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.errors import DataError
from training.recipe import Part

WHOLE = Part()


def evenly(length: int, count: int) -> list[int]:
    """So many of ``length`` indices, or all if they are fewer, evenly spread over them."""
    count = min(count, length)
    return [at * length // count for at in range(count)]


class Order(Sampler[list[int]]):
    """Batches of indices of one epoch for one process.

    The whole batch is the same whatever the number of processes; each takes an equal share of it,
    so the mean of their gradients is the gradient of the whole batch. A last batch that is not
    full is left out.
    """

    def __init__(
        self,
        length: int,
        batch: int,
        *,
        seed: int,
        epoch: int,
        first: int = 0,
        part: Part = WHOLE,
        weights: Tensor | None = None,
    ) -> None:
        """Order an epoch.

        Args:
            length: how many items there are.
            batch: items a batch over all processes; all items where there are fewer.
            seed: of the order, together with ``epoch``.
            epoch: its number.
            first: batches to leave out at the start.
            part: this process.
            weights: ``float[length]``, how likely each item is; an epoch is then ``length`` draws,
                in which an item may come several times or not at all. Left out, each comes once.

        Raises:
            DataError: there are no items, or the batch cannot be shared equally.
        """
        self._batch = min(batch, length)
        if self._batch < 1:
            raise DataError(f"no batches of {batch} can be made of {length} pictures")
        if self._batch % part.world:
            raise DataError(
                f"a batch of {self._batch} pictures cannot be shared by {part.world} processes; "
                "choose a batch size that is a multiple of their number"
            )
        self._length, self._seed, self._epoch = length, seed, epoch
        self._first, self._part, self._weights = first, part, weights

    def __len__(self) -> int:
        """Batches from ``first`` on."""
        return max(0, self._length // self._batch - self._first)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's share of each batch."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        indices = self._drawn(generator)
        for number in range(self._first, self._length // self._batch):
            start = number * self._batch + self._part.rank
            yield indices[start : (number + 1) * self._batch : self._part.world].tolist()

    def _drawn(self, generator: torch.Generator) -> Tensor:
        if self._weights is None:
            return torch.randperm(self._length, generator=generator)
        return torch.multinomial(self._weights, self._length, replacement=True, generator=generator)


def batches(
    pictures: Dataset[Any],
    order: Order,
    collate: Callable[[Any], Any],
    workers: int,
) -> DataLoader[Any]:
    """The batches of an epoch for one process.

    Args:
        pictures: the whole set.
        order: of the epoch and the process.
        collate: makes a batch of what the set hands out.
        workers: processes that read pictures; 0 reads them in this one.
    """
    return DataLoader(
        pictures,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )
