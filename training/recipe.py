"""What a task supplies to the training loop; ``training.loop`` knows nothing else of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Part:
    """Which of the processes that train together this one is.

    Attributes:
        rank: from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1


@dataclass(frozen=True, slots=True)
class Objective:
    """One loss and the optimizer that has to lower it.

    Attributes:
        loss: a scalar.
        optimizer: a key of ``Recipe.optimizers``.
        logged: further scalars for the history, such as a training accuracy; the same names in
            every process.
    """

    loss: Tensor
    optimizer: str = "main"
    logged: Mapping[str, Tensor | float] = field(default_factory=dict)


class Recipe(ABC):
    """Networks, optimizers, batches and what one batch does.

    The loop wraps the networks for the device, the precision and the other processes, and hands
    them to ``update`` and ``evaluate`` under their names; a recipe never calls its own copies while
    it is trained.

    Class attributes:
        monitor: the figure of ``evaluate`` by which the best epoch is chosen.
        higher_is_better: whether a greater ``monitor`` is better.

    Attributes:
        networks: all that a checkpoint must hold, by name. One of which no parameter needs a
            gradient, such as a Q-learner's target, is called, measured and kept, but not averaged.
            Which parameters are trained does not change between epochs.
        optimizers: by name; one alone is ``main``. They have the highest learning rates.
    """

    monitor: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False

    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]

    @property
    @abstractmethod
    def batches_per_epoch(self) -> int:
        """How many batches ``batches`` yields from the first."""

    @abstractmethod
    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Any]:
        """The batches of an epoch, from the one numbered ``first``, for one process.

        What they are must depend on the arguments and the recipe's seed alone, so that a run that
        was interrupted goes on as if it had not been.
        """

    @abstractmethod
    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        """Yield one objective after the other; each is optimised before the next is asked for.

        A classifier yields one. A GAN yields the discriminator's and then, computed with the
        discriminator as it is by then, the generator's. A Q-learner yields none until its memory
        holds enough. Parameters that an objective must not touch are frozen by the recipe while
        it computes that objective. Every process yields the same objectives.

        Args:
            batch: one item of ``batches``, on the device.
            networks: the networks to call, by name, in training mode.
        """

    @abstractmethod
    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """Measure the networks (the averaged ones where there is an EMA) on held-out data.

        Called in every process, in evaluation mode and without gradients. Where there are several
        processes each may measure its part, if the figures are then made from all parts, as
        torchmetrics does by itself.
        """

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - most recipes need nothing here
        """Told of each epoch before its first batch, also of one that is resumed midway."""

    def state(self) -> Mapping[str, Any]:
        """What else a checkpoint must hold, such as a replay memory; tensors and plain values."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - likewise
        """Take back what ``state`` gave."""
