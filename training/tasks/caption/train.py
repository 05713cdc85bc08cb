"""From a configuration to a trained captioner and what it is worth."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from service.contract import DataSource
from training import faults
from training.best import Outcome
from training.loop import fit
from training.nets.captioning import backbones
from training.nets.captioning.attentive import SoftAttention
from training.nets.captioning.backbones import Begun
from training.nets.captioning.beam import BeamSearch
from training.nets.captioning.captioner import Captioner
from training.nets.captioning.net import CaptionNet
from training.nets.captioning.nic import NeuralImageCaption
from training.nets.pixels import Pixels
from training.published import describe
from training.recipe import Part
from training.run import Run
from training.running import number_or_none
from training.shares import of_all
from training.tasks.caption import figures
from training.tasks.caption.config import Caption
from training.tasks.caption.data import Gathered, gather
from training.tasks.caption.metrics import Quality, measure
from training.tasks.caption.predict import captions, references
from training.tasks.caption.recipe import CaptionRecipe

Report = Callable[[str], None]

SHEET, ATTENTION = "captions.png", "attention.png"
#: Beam sizes that are measured besides the one that is served.
_BEAMS = (1, 3, 5)
_SHOWN = 6
_DECODERS: Mapping[str, type[SoftAttention | NeuralImageCaption]] = {
    "attention": SoftAttention,
    "nic": NeuralImageCaption,
}


@dataclass(frozen=True, slots=True)
class Results:
    """What a training came to.

    Attributes:
        module: the network as it is served, with the best epoch's weights, on the CPU.
        gathered: the pictures and captions.
        begun: the backbone's weights.
        outcome: of the training.
        quality: on the test pictures, by the number of beams.
        beams: of those the one that is served.
    """

    module: Captioner
    gathered: Gathered
    begun: DataSource
    outcome: Outcome
    quality: Mapping[int, Quality]
    beams: int

    @property
    def served(self) -> Quality:
        """On the test pictures, as it is served."""
        return self.quality[self.beams]

    def figures(self) -> Mapping[str, Any]:
        """For ``results.json``; what is not a number is ``None``, as JSON has no NaN."""
        gathered = self.gathered
        return {
            "dataset": gathered.dataset,
            "train_pictures": len(gathered.train),
            "test_pictures": self.served.pictures,
            "vocabulary": len(gathered.vocabulary),
            "parameters": sum(p.numel() for p in self.module.parameters()),
            "best_epoch": self.outcome.epoch,
            "held_out_cider": number_or_none(self.outcome.best),
            "seconds": self.outcome.seconds,
            "beams": self.beams,
            "test": {str(beams): _told(quality) for beams, quality in self.quality.items()},
        }


def train(config: Caption, fabric: Fabric, report: Report = lambda _: None) -> Results:
    """Train a captioner and measure it.

    Args:
        config: what to train, on what and how.
        fabric: launched already.
        report: told of each step.

    Raises:
        DataError: the pictures or captions cannot be had or are not what they should be.
        WeightsError: the weights cannot be had or do not fit.
        ArchitectureError: the network cannot be built as asked.
        TrainingError: training cannot go on.
        RunError: the run's folder holds another run.
    """
    with fabric.rank_zero_first():  # one fetches and computes, the others find it in the cache
        begun = backbones.load(config.backbone, config.weights, config.downloads)
        if begun.note:
            report(f"{config.weights}: {begun.note}")
        published = describe(config.weights, config.backbone)
        pixels = Pixels(published.mean, published.std)
        gathered = gather(config, begun, pixels, report)
    faults.keep(
        gathered.faults,
        Run(config.run / config.name),
        report,
        resume=config.resume,
        is_first=fabric.is_global_zero,
    )
    report(
        f"{len(gathered.train)} pictures to train on, {len(gathered.held_out)} held out, "
        f"{len(gathered.test)} to test; {len(gathered.vocabulary)} words"
    )
    torch.manual_seed(config.training.seed)
    channels, *grid = _seen(begun, gathered, pixels)
    kind, words = _DECODERS[config.network], len(gathered.vocabulary)
    decoder = kind(words, channels, hidden=config.hidden, dropout=config.dropout)
    net = CaptionNet(decoder)
    if config.tuned_stages:
        backbones.tune(begun.backbone, config.tuned_stages)
        net = CaptionNet(decoder, begun.backbone, pixels)
    outcome = _fit(config, net, begun, gathered, fabric)
    net = net.eval().to(fabric.device)
    report(f"measuring on {len(gathered.test)} test pictures")
    quality = _measured(config, net, gathered, (grid[0], grid[1]), fabric)
    search = BeamSearch(decoder, config.beams, config.longest, config.length_penalty)
    module = Captioner(begun.backbone, pixels, search).eval().cpu()
    return Results(module, gathered, begun.source, outcome, quality, config.beams)


def _seen(begun: Begun, gathered: Gathered, pixels: Pixels) -> tuple[int, int, int]:
    """Channels, height and width of what the backbone gives."""
    geometry = gathered.geometry
    with torch.inference_mode():
        blank = torch.zeros(1, geometry.height, geometry.width, 3, dtype=torch.uint8)
        _, channels, height, width = begun.backbone(pixels(blank)).shape
    return channels, height, width


def _fit(
    config: Caption, net: CaptionNet, begun: Begun, gathered: Gathered, fabric: Fabric
) -> Outcome:
    stages: tuple[tuple[str, ...], ...] = (("decoder",),)
    if config.tuned_stages:
        of_backbone = begun.backbone.stages
        stages = (
            *(tuple(f"backbone.net.{prefix}" for prefix in stage) for stage in of_backbone),
            *stages,
        )
    recipe = CaptionRecipe(net, stages, gathered.train, gathered.held_out, config)
    run = Run(config.run / config.name, writes=fabric.is_global_zero)
    settings = {
        "dataset": gathered.dataset,
        "pictures": len(gathered.train),
        "words": len(gathered.vocabulary),
        "network": config.network,
        "backbone": config.backbone,
        "weights": config.weights,
        "tuned_stages": config.tuned_stages,
        "height": config.height,
        "width": config.width,
        "views": config.views,
        "hidden": config.hidden,
        "dropout": config.dropout,
        "min_count": config.min_count,
        "longest": config.longest,
        "captions": config.captions,
        "label_smoothing": config.label_smoothing,
        "own_words": config.own_words,
        "self_critical_epochs": config.self_critical_epochs,
        "precision": config.devices.precision,
        "optimisation": asdict(config.optimisation),
        "training": asdict(config.training),
    }
    return fit(recipe, config.training, run, fabric, settings=settings, resume=config.resume)


def _measured(
    config: Caption,
    net: CaptionNet,
    gathered: Gathered,
    grid: tuple[int, int],
    fabric: Fabric,
) -> Mapping[int, Quality]:
    """On the test pictures, by beams; sheets of captions are drawn of those that are served."""
    part, test = Part(fabric.global_rank, fabric.world_size), gathered.test
    truth = references(test)
    measured = {}
    for beams in sorted({*_BEAMS, config.beams}):
        search = BeamSearch(net.decoder, beams, config.longest, config.length_penalty)
        found = of_all(captions(net, search, test, part), part)
        is_shown = fabric.is_global_zero and beams == config.beams
        measured[beams] = measure(found, truth, resamples=1000 if is_shown else 0)
        if is_shown:
            folder, items = config.run / config.name, test.captioned.items
            each = measured[beams].each_cider
            figures.sheet(
                [item.path for item in items],
                [" ".join(words) for words in found],
                [item.captions for item in items],
                each,
                folder / SHEET,
            )
            if net.decoder.attends:
                best = np.argsort(-each, kind="stable")[:_SHOWN].tolist()
                _draw_attention(net, search, gathered, best, grid, folder / ATTENTION)
    return measured


def _draw_attention(
    net: CaptionNet,
    search: BeamSearch,
    gathered: Gathered,
    shown: list[int],
    grid: tuple[int, int],
    path: Path,
) -> None:
    """Show where the network looked for each word of some test pictures."""
    test = gathered.test
    inputs = torch.stack([test.inputs.plain(index) for index in shown])
    with torch.inference_mode():
        seen = net.see(inputs.to(next(net.parameters()).device))
        result = search(seen, torch.full((len(shown),), search.longest, device=seen.device))
    assert result.attention is not None
    figures.attention_sheet(
        [test.captioned.items[index].path for index in shown],
        [gathered.vocabulary.decode(words) for words in result.tokens[:, 0].tolist()],
        list(result.attention[:, 0].unflatten(-1, grid).cpu().numpy()),
        test.geometry,
        path,
    )


def _told(quality: Quality) -> Mapping[str, Any]:
    return {
        **{f"bleu{order}": number_or_none(value) for order, value in enumerate(quality.bleu, 1)},
        "bleu4_interval": [number_or_none(end) for end in quality.bleu4_interval],
        "cider": number_or_none(quality.cider),
        "rouge_l": number_or_none(quality.rouge_l),
        "distinct": quality.distinct,
        "vocabulary": quality.vocabulary,
        "words": quality.length,
    }
