"""From trained networks to what ``training.export`` takes, words included."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from service.session import Arrays
from training.data import benchmarks
from training.data.labelled import Labelled
from training.exportable import Card, Exportable, Graph
from training.golden import golden_pictures
from training.made_by import told_weights
from training.nets.digits import CANVAS
from training.tasks.classify import digits
from training.tasks.classify.config import Classify
from training.tasks.classify.metrics import Accuracy, same_top1
from training.tasks.classify.net import Classifier, pixels
from training.tasks.classify.train import Results

_CHECKED, _CALIBRATED = 100, 100
#: Thresholds on pixels carry rounding on: a digit's frame may move by a hundredth of a pixel.
_DIGITS_TOLERANCE = 2e-3


def publish(config: Classify, results: Results, command: str) -> Exportable:
    """Describe the best of the trained networks for export.

    Args:
        config: what it was trained with.
        results: of that training.
        command: that makes it again, for the card.
    """
    gathered, published, best = results.gathered, results.published, results.best
    front = pixels(published.mean, published.std, gathered.channels, digits=config.reads_digits)
    geometry = gathered.geometry
    items = _items(config, gathered.test)
    golden = _golden(config, geometry.height, geometry.width)
    graph = Graph(
        module=Classifier(front, best.net.to(memory_format=torch.contiguous_format)),  # type: ignore[call-overload]
        example={"images": torch.zeros(2, geometry.height, geometry.width, 3, dtype=torch.uint8)},
        outputs=("logits",),
        golden=golden,
        checked=[*golden, *_some(items, _CHECKED)],
        calibration=[] if config.reads_digits else _items(config, _some_of(gathered.held_out)),
        precisions=("fp32",) if config.reads_digits else ("fp32", "fp16", "int8"),
        tolerance=_DIGITS_TOLERANCE if config.reads_digits else 1e-4,
        same=same_top1,
    )
    sources = [gathered.source]
    if config.weights is not None:
        sources.insert(0, published.source)
    return Exportable(
        name=config.name,
        version="1",
        task="classify",
        description=_description(config, results),
        graphs={"main": graph},
        input=geometry,
        card=_card(config, results),
        command=command,
        data=tuple(sources),
        licence=config.licence,
        default=config.default,
        labels=gathered.train.classes,
        config=_settings(config, results),
        seed=best.seed,
        evaluate=Accuracy(items, gathered.test.targets.numpy(), gathered.dataset, "test"),
    )


def _items(config: Classify, labelled: Labelled) -> list[Arrays]:
    """Pictures as the service would hand them to the graph."""
    if config.reads_digits:
        _, raw = benchmarks.load("mnist", config.data, config.downloads)
        return [{"images": digits.canvas(image)} for image in raw.images[..., 0].numpy()]
    images = labelled.images.numpy()
    if images.shape[3] == 1:
        images = np.repeat(images, 3, axis=3)
    return [{"images": image} for image in images]


def _some(items: Sequence[Arrays], count: int) -> list[Arrays]:
    step = max(1, len(items) // count)
    return list(items[::step][:count])


def _some_of(labelled: Labelled) -> Labelled:
    count = min(_CALIBRATED, len(labelled))
    return labelled.subset(torch.linspace(0, len(labelled) - 1, count).long())


def _golden(config: Classify, height: int, width: int) -> list[Arrays]:
    pictures = golden_digits() if config.reads_digits else golden_pictures(height, width)
    return [{"images": picture} for picture in pictures]


def golden_digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A seven in chalk on a board and a zero in ink on paper, ``uint8[112, 112, 3]`` each."""
    board = Image.new("RGB", (CANVAS, CANVAS), (30, 50, 40))
    draw = ImageDraw.Draw(board)
    draw.line([(34, 28), (76, 28), (50, 86)], fill=(235, 235, 225), width=8, joint="curve")
    paper = Image.new("RGB", (CANVAS, CANVAS), (240, 236, 224))
    ImageDraw.Draw(paper).ellipse([36, 24, 72, 90], outline=(30, 40, 110), width=8)
    return np.asarray(board), np.asarray(paper)


def _settings(config: Classify, results: Results) -> Mapping[str, str | int | float | bool | None]:
    optimisation, training = config.optimisation, config.training
    return {
        "architecture": results.published.architecture,
        "parameters": results.figures()["parameters"],
        "weights": told_weights(config.weights),
        "epochs": training.epochs,
        "freeze_epochs": config.freeze_epochs,
        "batch_size": optimisation.batch_size,
        "optimizer": optimisation.optimizer,
        "lr": optimisation.lr,
        "weight_decay": optimisation.weight_decay,
        "precision": config.devices.precision,
    }


def _description(config: Classify, results: Results) -> str:
    if config.description:
        return config.description
    count = len(results.gathered.train.classes)
    return f"{count} classes of {results.gathered.dataset} by {results.published.architecture}."


def _card(config: Classify, results: Results) -> Card:
    gathered, published, figures = results.gathered, results.published, results.figures()
    weights = told_weights(config.weights)
    begun = (
        f"starting from `{weights}` ({published.quality or 'quality not stated'})"
        if weights
        else "from random weights"
    )
    return Card(
        summary=(
            f"{_description(config, results)} `{published.architecture}` with "
            f"{figures['parameters']:,} parameters, trained {begun} for "
            f"{config.training.epochs} epochs on {len(gathered.train)} pictures."
        ),
        use=config.use or _use(gathered.train.classes),
        data=(
            f"Trained on {len(gathered.train)} pictures of {gathered.dataset}. The epoch and, of "
            f"seeds, the network were chosen on {len(gathered.held_out)} training pictures held "
            f"out, and measured on {len(gathered.test)} test pictures that played no part in "
            "either. No picture of the set is part of this folder; the golden inputs are drawn by "
            "code."
        ),
        figures=_seeds(figures),
    )


def _use(classes: Sequence[str]) -> str:
    return (
        f"Says which of {len(classes)} classes a picture shows. It always answers with one of "
        "them, also for a picture that shows none, and knows only pictures like those it was "
        "trained on. Not for decisions about people."
    )


def _seeds(figures: Mapping[str, Any]) -> str:
    seeds = figures["seeds"]
    if len(seeds) == 1:
        return "One training; another seed would give a somewhat different figure."
    each = ", ".join(f"{100 * one['test_top1']:.2f}" for one in seeds.values())
    return (
        f"{len(seeds)} trainings that differ in their seed reached a top-1 of {each} % on the test "
        f"pictures: mean {100 * figures['mean_test_top1']:.2f} %, standard deviation "
        f"{100 * figures['std_test_top1']:.2f}. The mean of their probabilities reached "
        f"{100 * figures['ensemble_test_top1']:.2f} %. This is the one that was best on held-out "
        "pictures, computed by PyTorch in float32."
    )
