"""What the history says of training: means over the steps since its last line."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from training.errors import DivergedError
from training.recipe import Objective


class Meter:
    """Means of losses and figures, over steps and processes, and the speed.

    Sums stay on the device until they are wanted: reading a number there makes the processor wait
    for it. So a loss that is not finite is noticed when the sums are read, by all processes
    together, which is before a history line, a measurement or a checkpoint could be made from it.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}
        self._losses: set[str] = set()
        self.start()

    def start(self) -> None:
        """Start the clock anew, after what is not training."""
        self._since = time.perf_counter()
        self._batches = 0

    def batch(self) -> None:
        """One batch more is done."""
        self._batches += 1

    def add(self, objective: Objective) -> None:
        """Take in the loss and the figures of an objective."""
        name = "loss" if objective.optimizer == "main" else f"loss_{objective.optimizer}"
        self._losses.add(name)
        for key, value in {**objective.logged, name: objective.loss}.items():
            value = value.detach() if isinstance(value, Tensor) else value
            self._sums[key] = self._sums.get(key, 0.0) + value
            self._counts[key] = self._counts.get(key, 0) + 1

    def settle(self, step: int) -> None:
        """Bring the sums of all processes together.

        Raises:
            DivergedError: a loss was not finite in one of them.
        """
        if not self._sums:
            return
        sums = torch.stack(
            [
                torch.as_tensor(value, dtype=torch.float32, device=self._fabric.device)
                for value in self._sums.values()
            ]
        )
        means = self._fabric.all_reduce(sums, reduce_op="mean")
        assert isinstance(means, Tensor)
        self._sums = dict(zip(self._sums, means.tolist(), strict=True))
        for name in sorted(self._losses & self._sums.keys()):
            if not math.isfinite(self._sums[name]):
                raise DivergedError(
                    f"the {name} is not finite any more at step {step}: lower the learning rate, "
                    "clip gradients (--clip-norm 1) or look at the data; the last "
                    "checkpoint is kept"
                )

    def flush(self, step: int) -> dict[str, float]:
        """The means since the last flush, and batches a second; nothing if there was no batch.

        Raises:
            DivergedError: a loss was not finite.
        """
        self.settle(step)
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        if self._batches:
            seconds = time.perf_counter() - self._since
            means["batches_per_second"] = round(self._batches / max(seconds, 1e-9), 3)
        self._sums, self._counts = {}, {}
        self.start()
        return means

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint, after ``settle``."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])
