"""From a configuration to a trained segmentation network and what it is worth."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from service.contract import DataSource
from training import faults
from training.best import Outcome
from training.data.mask_pictures import collate
from training.data.mask_sheet import contact_sheet
from training.data.order import evenly
from training.devices import processes
from training.loop import fit
from training.nets.pixels import Pixels
from training.nets.segmentation import architectures, loading
from training.nets.segmentation.architectures import SegmenterArchitecture
from training.nets.segmentation.normalised import begin_as_identity
from training.nets.segmentation.segmenter import Segmenter
from training.nets.stages import freeze_statistics
from training.recipe import Part
from training.run import Run
from training.running import number_or_none
from training.shares import of_all
from training.tasks.segment import figures
from training.tasks.segment.config import Segment
from training.tasks.segment.data import Gathered, gather
from training.tasks.segment.metrics import Quality, measure
from training.tasks.segment.predict import confusions
from training.tasks.segment.rarity import class_weights, picture_weights
from training.tasks.segment.recipe import SegmentRecipe

Report = Callable[[str], None]

SHEET, CONFUSION, MASKS = "augmentation.png", "confusion.png", "masks.png"
#: Pictures that tell the statistics of batch normalisations put between published weights.
_STATISTICS = 16


@dataclass(frozen=True, slots=True)
class Results:
    """What a training came to.

    Attributes:
        architecture: of the network.
        module: the network as it is served, with the best epoch's weights, on the CPU.
        gathered: the pictures.
        begun: the source of the weights it began with; ``None`` for random ones.
        outcome: of the training.
        quality: on the test pictures; without an interval in all processes but the first.
    """

    architecture: SegmenterArchitecture
    module: Segmenter
    gathered: Gathered
    begun: DataSource | None
    outcome: Outcome
    quality: Quality

    def figures(self) -> Mapping[str, Any]:
        """For ``results.json``; what is not a number is ``None``, as JSON has no NaN."""
        quality = self.quality
        return {
            "dataset": self.gathered.dataset,
            "train_pictures": len(self.gathered.train),
            "test_pictures": quality.pictures,
            "parameters": sum(p.numel() for p in self.module.parameters()),
            "best_epoch": self.outcome.epoch,
            "held_out_miou": number_or_none(self.outcome.best),
            "seconds": self.outcome.seconds,
            "test_miou": number_or_none(quality.miou),
            "test_miou_interval": [number_or_none(end) for end in quality.miou_interval],
            "test_pixel_accuracy": number_or_none(quality.pixel_accuracy),
            "test_class_accuracy": number_or_none(quality.class_accuracy),
            "classes": {
                name: {"pixels": int(pixels), "iou": number_or_none(iou)}
                for name, pixels, iou in zip(
                    quality.classes, quality.confusion.sum(1), quality.iou, strict=True
                )
            },
        }


def train(config: Segment, fabric: Fabric, report: Report = lambda _: None) -> Results:
    """Train a segmentation network and measure it.

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
    config = config.resolved()
    architecture = architectures.find(config.architecture)
    gathered = gather(config, architecture.pad_value, report, processes=processes(fabric))
    faults.keep(
        gathered.faults,
        Run(config.run / config.name),
        report,
        resume=config.resume,
        is_first=fabric.is_global_zero,
    )
    report(
        f"{len(gathered.train)} pictures to train on, {len(gathered.held_out)} held out, "
        f"{len(gathered.test)} to test; {len(gathered.classes)} classes"
    )
    torch.manual_seed(config.training.seed)
    net = architectures.build(architecture.name, len(gathered.classes))
    begun = None
    if config.weights is not None:
        with fabric.rank_zero_first():  # one fetches, the others find it in the cache
            loaded = loading.load(net, architecture, config.weights, config.downloads)
        begun = loaded.source
        if loaded.note:
            report(f"{config.weights}: {loaded.note}")
        if loaded.lacks_norms:
            _begin_as_identity(net, architecture, gathered)
    architectures.freeze_first(net, architecture, config.frozen_stages)
    if config.keep_statistics:
        freeze_statistics(net, but=architecture.stages[-1])
    outcome = _fit(config, net, architecture, gathered, fabric)
    pixels = Pixels(architecture.mean, architecture.std)
    module = Segmenter(net, pixels).eval().to(fabric.device)
    report(f"measuring on {len(gathered.test)} test pictures")
    quality = _measured(config, module, gathered, fabric)
    return Results(architecture, module.cpu(), gathered, begun, outcome, quality)


def _begin_as_identity(
    net: nn.Module, architecture: SegmenterArchitecture, gathered: Gathered
) -> None:
    """Let the new normalisations of the body change nothing, for some of the pictures."""
    chosen = evenly(len(gathered.train), _STATISTICS)
    images, _ = collate([gathered.train[index] for index in chosen])
    pixels = Pixels(architecture.mean, architecture.std)(images.permute(0, 2, 3, 1))
    begin_as_identity(net.get_submodule(architecture.body.removesuffix(".")), pixels)


def _fit(
    config: Segment,
    net: nn.Module,
    architecture: SegmenterArchitecture,
    gathered: Gathered,
    fabric: Fabric,
) -> Outcome:
    recipe = SegmentRecipe(
        net,
        architecture,
        gathered.train,
        gathered.held_out,
        config.optimisation,
        class_weights=(
            torch.from_numpy(class_weights(gathered.pixels, config.class_weights))
            if config.class_weights
            else None
        ),
        picture_weights=(
            torch.from_numpy(picture_weights(gathered.pixels, config.balance, gathered.background))
            if config.balance
            else None
        ),
        auxiliary=config.auxiliary,
        seed=config.training.seed,
        workers=config.workers,
    )
    folder = config.run / config.name
    run = Run(folder, writes=fabric.is_global_zero)
    settings = {
        "dataset": gathered.dataset,
        "pictures": len(gathered.train),
        "classes": list(gathered.classes),
        "architecture": architecture.name,
        "weights": config.weights,
        "height": config.height,
        "width": config.width,
        "frozen_stages": config.frozen_stages,
        "keep_statistics": config.keep_statistics,
        "class_weights": config.class_weights,
        "balance": config.balance,
        "auxiliary": config.auxiliary,
        "precision": config.devices.precision,
        "optimisation": asdict(config.optimisation),
        "augmentation": asdict(config.augmentation),
        "training": asdict(config.training),
    }
    if fabric.is_global_zero and not run.is_begun:  # to look at while training goes on
        folder.mkdir(parents=True, exist_ok=True)
        contact_sheet(gathered.train, folder / SHEET)
    return fit(recipe, config.training, run, fabric, settings=settings, resume=config.resume)


def _measured(config: Segment, module: Segmenter, gathered: Gathered, fabric: Fabric) -> Quality:
    part = Part(fabric.global_rank, fabric.world_size)
    found = of_all(confusions(module, gathered.test, part), part)
    if not fabric.is_global_zero:
        return measure(found, gathered.classes, resamples=0)
    quality = measure(found, gathered.classes)
    folder = config.run / config.name
    figures.confusion(quality, folder / CONFUSION)
    figures.masks(module, gathered.test, found, folder / MASKS)
    return quality
