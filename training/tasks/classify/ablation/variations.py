"""What a variation of a recipe is: the recipe whole, what was changed, and what that should do."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import nn

from training.data.augment import Augmentation
from training.data.labelled import Labelled
from training.loop import Training
from training.nets import architectures
from training.nets.convnet import ConvNet, Initialisation
from training.tasks.classify.config import Optimisation

Figure = Literal["test error", "training error", "gap"]
"""What an argument speaks of; the gap is test error less training error."""
Direction = Literal["higher", "lower", "same"]
BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Claim:
    """An argument of the literature that a variation bears on.

    Attributes:
        argument: in words.
        source: key of ``WORKS``.
        figure: what should differ.
        expected: how it should stand to that of ``against``.
        against: name of the other variation.
    """

    argument: str
    source: str
    figure: Figure = "test error"
    expected: Direction = "higher"
    against: str = BASELINE


@dataclass(frozen=True, slots=True)
class ConvNetOptions:
    """What of :class:`ConvNet` is varied; see there."""

    widths: tuple[int, ...] = (16, 32, 64)
    convs_per_stage: int = 2
    dropout: float = 0.5
    batch_norm: bool = True
    initialisation: Initialisation = "he"


@dataclass(frozen=True, slots=True)
class Setup:
    """A recipe whole.

    Attributes:
        net: of a ConvNet, or the name of another architecture.
        optimisation: how the weights are moved.
        augmentation: how training pictures are varied.
        training: how long, and how the learning rate goes; the seed is set for each run.
    """

    net: ConvNetOptions | str
    optimisation: Optimisation
    augmentation: Augmentation
    training: Training

    @property
    def architecture(self) -> str:
        """Key of ``ARCHITECTURES``."""
        return "convnet" if isinstance(self.net, ConvNetOptions) else self.net

    def build(self, train: Labelled) -> nn.Module:
        """The network for these pictures, with random weights."""
        size, _, channels = train.shape
        classes = len(train.classes)
        if isinstance(self.net, ConvNetOptions):
            return ConvNet(classes, channels=channels, size=size, **asdict(self.net))
        return architectures.build(
            self.net, classes, channels=channels, small_images=True, size=size
        )

    def settings(self) -> dict[str, Any]:
        """Everything, for a run's ``config.json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Variation:
    """One row of an ablation.

    Attributes:
        name: of its folder and its row.
        change: what is other than in ``reference``, in words.
        setup: the recipe with the change made.
        claims: what the literature says of the change.
        reference: name of the variation that differs from this one in that alone.
    """

    name: str
    change: str
    setup: Setup
    claims: tuple[Claim, ...] = ()
    reference: str = BASELINE


@dataclass(frozen=True, slots=True)
class Family:
    """Variations that are compared with one another, the baseline first.

    Attributes:
        name: of its folder.
        title: of its report.
        dataset: a benchmark's name.
        variations: the rows.
    """

    name: str
    title: str
    dataset: str
    variations: tuple[Variation, ...]

    @property
    def baseline(self) -> Variation:
        """What the table compares with."""
        return self.variations[0]
