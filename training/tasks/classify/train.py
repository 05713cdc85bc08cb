"""From a configuration to trained networks: once for each seed, and together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from training import pretrained
from training.best import Outcome
from training.data.augment import Augment, contact_sheet
from training.loop import fit
from training.nets import architectures
from training.nets.stages import freeze, unfreeze
from training.published import Published, unpublished
from training.run import Run
from training.settings import Training
from training.tasks.classify.config import Classify
from training.tasks.classify.data import Gathered, gather
from training.tasks.classify.recipe import ClassifyRecipe, predict

Report = Callable[[str], None]

DEFAULT_ARCHITECTURE = "resnet18"
SHEET = "augmentation.png"


@dataclass(frozen=True, slots=True)
class Trained:
    """One training's outcome.

    Attributes:
        seed: of it.
        net: with the best epoch's weights, on the CPU.
        held_out_top1: of those weights; the epoch was chosen by it.
        probabilities: of every test picture, ``float32[N, classes]``.
        test_top1: on the test pictures.
    """

    seed: int
    net: nn.Module
    held_out_top1: float
    probabilities: Tensor
    test_top1: float


@dataclass(frozen=True, slots=True)
class Results:
    """What all trainings of a configuration came to.

    Attributes:
        published: how pixels are prepared, and the weights that training began with.
        gathered: the pictures.
        trained: one a seed.
        ensemble_top1: on the test pictures, of the mean of all probabilities.
    """

    published: Published
    gathered: Gathered
    trained: Sequence[Trained]
    ensemble_top1: float

    @property
    def best(self) -> Trained:
        """The training with the best top-1 on held-out pictures."""
        return max(self.trained, key=lambda one: one.held_out_top1)

    def figures(self) -> Mapping[str, Any]:
        """For ``results.json``."""
        scores = torch.tensor([one.test_top1 for one in self.trained], dtype=torch.float64)
        spread = float(scores.std()) if len(scores) > 1 else 0.0
        return {
            "dataset": self.gathered.dataset,
            "test_pictures": len(self.gathered.test),
            "parameters": sum(p.numel() for p in self.trained[0].net.parameters()),
            "seeds": {
                str(one.seed): {"held_out_top1": one.held_out_top1, "test_top1": one.test_top1}
                for one in self.trained
            },
            "mean_test_top1": float(scores.mean()),
            "std_test_top1": spread,
            "ensemble_test_top1": self.ensemble_top1,
        }


def train(config: Classify, fabric: Fabric, report: Report = lambda _: None) -> Results:
    """Train a classifier, or several of different seeds.

    Args:
        config: what to train, on what and how.
        fabric: launched already.
        report: told of each step.

    Raises:
        DataError: the pictures cannot be had or are not what they should be.
        WeightsError: the weights cannot be had or do not fit.
        ArchitectureError: the network cannot be built as asked.
        TrainingError: training cannot go on.
        RunError: the run's folder holds another run.
    """
    published = start(config)
    with fabric.rank_zero_first():  # one fetches, the others find it in the cache
        gathered = gather(config, published, report)
    report(
        f"{len(gathered.train)} pictures to train on, {len(gathered.held_out)} held out, "
        f"{len(gathered.test)} to test; {len(gathered.train.classes)} classes"
    )
    trained = [
        _Seed(config, published, gathered, fabric, report, seed).train()
        for seed in range(config.training.seed, config.training.seed + config.seeds)
    ]
    together = torch.stack([one.probabilities for one in trained]).mean(0)
    return Results(published, gathered, trained, _top1(together, gathered.test.targets))


def start(config: Classify) -> Published:
    """The weights to begin with; random ones if the configuration names none."""
    if config.weights is not None:
        return pretrained.describe(config.weights, config.architecture)
    return unpublished(config.architecture or DEFAULT_ARCHITECTURE)


@dataclass(frozen=True, slots=True)
class _Seed:
    config: Classify
    published: Published
    gathered: Gathered
    fabric: Fabric
    report: Report
    seed: int

    def train(self) -> Trained:
        config = self.config
        folder = config.run / config.name
        if config.seeds > 1:
            folder = folder / f"seed-{self.seed}"
        torch.manual_seed(self.seed)
        net = self._new()
        if config.weights is not None:
            loaded = pretrained.load_pretrained(
                net, self.published.architecture, config.weights, config.downloads
            )
            if loaded.first_use:
                self.report(f"trusted {config.weights} on first use: sha256 {loaded.sha256}")
        if config.freeze_epochs:
            self._train_head(net, folder / "head")
        outcome = self._fit(net, replace(config.training, seed=self.seed), folder)
        net = net.cpu()
        probabilities = predict(net, self.published, self.gathered.test)
        return Trained(
            self.seed,
            net,
            outcome.best,
            probabilities,
            _top1(probabilities, self.gathered.test.targets),
        )

    def _new(self) -> nn.Module:
        gathered = self.gathered
        return architectures.build(
            self.published.architecture,
            len(gathered.train.classes),
            channels=gathered.channels,
            small_images=gathered.small_images,
            dropout=self.config.dropout,
            size=gathered.size,
        )

    def _train_head(self, net: nn.Module, folder: Path) -> None:
        """Train the head alone: in few epochs, so without a warm-up or an average."""
        freeze(net, architectures.find(self.published.architecture))
        epochs = self.config.freeze_epochs
        training = replace(
            self.config.training, epochs=epochs, warmup_epochs=0.0, ema=None, seed=self.seed
        )
        self._fit(net, training, folder)
        unfreeze(net)

    def _fit(self, net: nn.Module, training: Training, folder: Path) -> Outcome:
        config, gathered = self.config, self.gathered
        recipe = ClassifyRecipe(
            net,
            self.published,
            gathered.train,
            gathered.held_out,
            config.optimisation,
            config.augmentation,
            size=gathered.size,
            seed=self.seed,
            workers=config.workers,
        )
        run = Run(folder, writes=self.fabric.is_global_zero)
        settings = {
            "dataset": gathered.dataset,
            "pictures": len(gathered.train),
            "architecture": self.published.architecture,
            "weights": config.weights,
            "size": gathered.size,
            "dropout": config.dropout,
            "precision": config.devices.precision,
            "optimisation": asdict(config.optimisation),
            "augmentation": asdict(config.augmentation),
            "training": asdict(training),
        }
        if self.fabric.is_global_zero and not run.is_begun:  # to look at while training goes on
            folder.mkdir(parents=True, exist_ok=True)
            sheet = Augment(config.augmentation, gathered.size, gathered.size)
            contact_sheet(gathered.train, sheet, folder / SHEET)
        return fit(recipe, training, run, self.fabric, settings=settings, resume=config.resume)


def _top1(probabilities: Tensor, targets: Tensor) -> float:
    return float((probabilities.argmax(1) == targets).double().mean())
