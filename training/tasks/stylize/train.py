"""From a configuration to a trained network that stylizes and what it is worth."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning_fabric import Fabric

from service.contract import DataSource
from training import faults
from training.best import Outcome
from training.loop import fit
from training.nets.style.adain import adain_network, slim_network
from training.nets.style.loading import VGG, begin, load_encoder, load_vgg, source_of
from training.nets.style.stylizer import Stylizer
from training.nets.style.vgg import Vgg19
from training.run import Run
from training.running import number_or_none
from training.tasks.stylize.config import Stylize
from training.tasks.stylize.data import Gathered, gather
from training.tasks.stylize.figures import sheet
from training.tasks.stylize.metrics import Quality, measure
from training.tasks.stylize.recipe import StylizeRecipe
from training.tasks.stylize.targets import targets

Report = Callable[[str], None]

SHEET = "styles.png"
#: Pairs on the sheet.
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Results:
    """What a training came to.

    Attributes:
        module: the network with the best epoch's weights, on the CPU.
        vgg: that it is judged by, on the CPU.
        gathered: the pictures.
        begun: sources of the weights it began with and learned from.
        outcome: of the training.
        quality: on the test pairs.
    """

    module: Stylizer
    vgg: Vgg19
    gathered: Gathered
    begun: tuple[DataSource, ...]
    outcome: Outcome
    quality: Quality

    def figures(self) -> Mapping[str, Any]:
        """For ``results.json``."""
        photographs, paintings = self.gathered.counts
        return {
            "train_photographs": photographs,
            "train_paintings": paintings,
            "test_pairs": len(self.quality.totals),
            "parameters": sum(p.numel() for p in self.module.parameters()),
            "best_epoch": self.outcome.epoch,
            "held_out_loss": number_or_none(self.outcome.best),
            "seconds": self.outcome.seconds,
            "test_loss": number_or_none(self.quality.loss),
            "test_content": number_or_none(self.quality.content),
            "test_style": number_or_none(self.quality.style),
        }


def train(config: Stylize, fabric: Fabric, report: Report = lambda _: None) -> Results:
    """Train a network that stylizes and measure it.

    Args:
        config: what to train, on what and how.
        fabric: launched already.
        report: told of each step.

    Raises:
        DataError: the pictures cannot be had or are not what they should be.
        FileError: weights cannot be had.
        WeightsError: weights do not fit.
        TrainingError: training cannot go on.
        RunError: the run's folder holds another run.
    """
    gathered = gather(config, report)
    faults.keep(
        gathered.faults,
        Run(config.run / config.name),
        report,
        resume=config.resume,
        is_first=fabric.is_global_zero,
    )
    photographs, paintings = gathered.counts
    report(
        f"{photographs} photographs and {paintings} paintings to learn from, "
        f"{len(gathered.held_out)} pairs held out, {len(gathered.test)} to test"
    )
    torch.manual_seed(config.training.seed)
    with fabric.rank_zero_first():  # one fetches, the others find it in the cache
        vgg = load_vgg(config.downloads)
        net, begun = _network(config)
    outcome = _fit(config, net, vgg, gathered, fabric, report)
    net = net.eval().to(fabric.device)
    report(f"measuring on {len(gathered.test)} test pairs")
    quality = measure(net, vgg.to(fabric.device), gathered.test, config.weighting)
    if fabric.is_global_zero:
        sheet(net, gathered.test, config.run / config.name / SHEET, _SHOWN)
    return Results(net.cpu(), vgg.cpu(), gathered, begun, outcome, quality)


def _network(config: Stylize) -> tuple[Stylizer, tuple[DataSource, ...]]:
    """The network to train, with its first weights, and where those and the loss come from."""
    sources: tuple[DataSource, ...] = (source_of(VGG),)
    net = adain_network() if config.network == "full" else slim_network()
    if config.weights is None:
        load_encoder(net, config.downloads)
    else:
        sources = (*sources, *begin(net, config.weights, config.downloads).sources)
    return net, sources


def _fit(
    config: Stylize,
    net: Stylizer,
    vgg: Vgg19,
    gathered: Gathered,
    fabric: Fabric,
    report: Report,
) -> Outcome:
    report(f"computing the Gram matrices of {len(gathered.views)} views of paintings")
    net, vgg = net.to(fabric.device), vgg.to(fabric.device)
    asked = targets(vgg, net, gathered.views, fabric.device)
    recipe = StylizeRecipe(net, vgg, gathered.train, gathered.held_out, asked, config)
    run = Run(config.run / config.name, writes=fabric.is_global_zero)
    settings = {
        "photographs": gathered.counts[0],
        "paintings": gathered.counts[1],
        "network": config.network,
        "weights": config.weights,
        "side": config.side,
        "crop": config.crop,
        "views": config.views,
        "samples": config.samples,
        "weighting": {
            "style": config.weighting.style_weight,
            "smooth": config.weighting.smooth_weight,
        },
        "identity": config.identity,
        "precision": config.devices.precision,
        "optimisation": asdict(config.optimisation),
        "training": asdict(config.training),
    }
    return fit(recipe, config.training, run, fabric, settings=settings, resume=config.resume)
