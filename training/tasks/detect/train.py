"""From a configuration to a trained detector and what it is worth."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning_fabric import Fabric

from service.contract import DataSource
from training import faults
from training.best import Outcome
from training.data.box_sheet import contact_sheet
from training.devices import processes
from training.loop import fit
from training.nets.detection import architectures, loading
from training.nets.detection.architectures import DetectorArchitecture
from training.nets.detection.batched import BatchedDetector
from training.nets.detection.detector import Detector
from training.nets.pixels import Pixels
from training.recipe import Part
from training.run import Run
from training.running import number_or_none
from training.shares import of_all
from training.tasks.detect import figures
from training.tasks.detect.config import Detect
from training.tasks.detect.data import Gathered, gather
from training.tasks.detect.metrics import Quality, measure
from training.tasks.detect.predict import predict
from training.tasks.detect.recipe import DetectRecipe

Report = Callable[[str], None]

SHEET, CURVES, WORST = "augmentation.png", "precision_recall.png", "worst.png"


@dataclass(frozen=True, slots=True)
class Results:
    """What a training came to.

    Attributes:
        architecture: of the detector.
        module: the detector as it is served, with the best epoch's weights, on the CPU.
        gathered: the pictures.
        begun: the source of the weights it began with; ``None`` for random ones.
        outcome: of the training.
        quality: on the test pictures; without intervals in all processes but the first.
    """

    architecture: DetectorArchitecture
    module: BatchedDetector
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
            "held_out_map50": number_or_none(self.outcome.best),
            "seconds": self.outcome.seconds,
            "test_map50": number_or_none(quality.map50),
            "test_map50_interval": [number_or_none(end) for end in quality.map50_interval],
            "test_map": number_or_none(quality.map),
            "test_map_interval": [number_or_none(end) for end in quality.map_interval],
            "test_map75": number_or_none(quality.map75),
            "classes": {
                name: {
                    "objects": int(objects),
                    "ap50": number_or_none(ap50),
                    "ap": number_or_none(ap),
                }
                for name, objects, ap50, ap in zip(
                    quality.classes,
                    quality.objects,
                    quality.average_precision50,
                    quality.average_precision,
                    strict=True,
                )
            },
        }


def train(config: Detect, fabric: Fabric, report: Report = lambda _: None) -> Results:
    """Train a detector and measure it.

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
    size = config.size or architecture.size
    gathered = gather(config, size, architecture.pad_value, report, processes=processes(fabric))
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
    architectures.freeze_first(net, architecture, config.frozen_stages)
    outcome = _fit(config, net, architecture, gathered, fabric)
    pixels = Pixels(architecture.mean, architecture.std)
    module = BatchedDetector(net, pixels, size, size).eval().to(fabric.device)
    report(f"measuring on {len(gathered.test)} test pictures")
    quality = _measured(config, module, gathered, fabric)
    return Results(architecture, module.cpu(), gathered, begun, outcome, quality)


def _fit(
    config: Detect,
    net: Detector,
    architecture: DetectorArchitecture,
    gathered: Gathered,
    fabric: Fabric,
) -> Outcome:
    recipe = DetectRecipe(
        net,
        architecture,
        gathered.train,
        gathered.held_out,
        config.optimisation,
        iou_threshold=config.iou_threshold,
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
        "size": gathered.train.geometry.width,
        "frozen_stages": config.frozen_stages,
        "precision": config.devices.precision,
        "optimisation": asdict(config.optimisation),
        "augmentation": asdict(config.augmentation),
        "training": asdict(config.training),
    }
    if fabric.is_global_zero and not run.is_begun:  # to look at while training goes on
        folder.mkdir(parents=True, exist_ok=True)
        contact_sheet(gathered.train, folder / SHEET)
    return fit(recipe, config.training, run, fabric, settings=settings, resume=config.resume)


def _measured(
    config: Detect, module: BatchedDetector, gathered: Gathered, fabric: Fabric
) -> Quality:
    part, truths = Part(fabric.global_rank, fabric.world_size), gathered.test.boxed
    found = of_all(predict(module, gathered.test, config.iou_threshold, part), part)
    if not fabric.is_global_zero:
        return measure(found, truths, resamples=0)
    quality = measure(found, truths)
    folder = config.run / config.name
    figures.precision_recall(quality, folder / CURVES)
    figures.worst(found, truths, folder / WORST, threshold=config.threshold)
    return quality
