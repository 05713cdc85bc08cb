"""One step of the optimizers."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric

from training.errors import TrainingError
from training.meter import Meter
from training.recipe import Recipe
from training.settings import Training
from training.wrapped import Wrapped


class Stepper:
    """Takes steps: accumulation, backward, clipping and the optimizers."""

    def __init__(
        self, recipe: Recipe, training: Training, wrapped: Wrapped, meter: Meter, fabric: Fabric
    ) -> None:
        self._recipe, self._training, self._fabric = recipe, training, fabric
        self._wrapped, self._meter = wrapped, meter
        self._optimizers: dict[str, Any] = {
            name: fabric.setup_optimizers(optimizer)
            for name, optimizer in recipe.optimizers.items()
        }

    def take(self, step: int, batches: Iterator[Any]) -> None:
        """Take the step of a number, counted from 0, with the next batches.

        Raises:
            TrainingError: there are none.
        """
        accumulate = self._training.accumulate
        torch.manual_seed(seed_of(self._training.seed, "step", step, self._fabric.global_rank))
        for number in range(1, accumulate + 1):
            try:
                batch = self._fabric.to_device(next(batches))
            except StopIteration:
                raise TrainingError(
                    f"the recipe's batches end before the {self._recipe.batches_per_epoch} of an "
                    "epoch that it promises"
                ) from None
            is_last = number == accumulate
            with nullcontext() if is_last else self._wrapped.alone():
                self._take_batch(batch, optimise=is_last)

    def _take_batch(self, batch: Any, *, optimise: bool) -> None:
        """Forward and backward of each objective; for a step's last batch, the step itself."""
        for objective in self._recipe.update(batch, self._wrapped.networks):
            self._meter.add(objective)
            self._fabric.backward(objective.loss / self._training.accumulate)
            if optimise:
                self._optimise(objective.optimizer)
        self._meter.batch()

    def _optimise(self, name: str) -> None:
        optimizer = self._optimizers[name]
        if self._training.clip_norm is not None:
            # The parameters are the optimizer's; Fabric asks for a network for other strategies.
            network = next(iter(self._wrapped.networks.values()))
            self._fabric.clip_gradients(
                network, optimizer, max_norm=self._training.clip_norm, error_if_nonfinite=False
            )
        optimizer.step()
        optimizer.zero_grad()


def seed_of(*parts: int | str) -> int:
    """A seed that differs wherever one of the parts does."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest)
