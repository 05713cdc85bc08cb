"""From a trained detector to what ``training.export`` takes, words included."""

from collections.abc import Mapping, Sequence

import torch

from service import contract
from service.contract import InputGeometry
from service.session import Arrays, Session
from service.tasks.detect import deviation
from training.data.box_pictures import BoxPictures
from training.devices import machine
from training.exportable import Card, Exportable, Graph, Score
from training.how_trained import how_trained
from training.made_by import told_weights
from training.nets.detection.architectures import GRAPH_IOU, GRAPH_SCORE
from training.nets.detection.batched import BatchedDetector
from training.nets.detection.nms import TRANSLATIONS
from training.tasks.detect import steady
from training.tasks.detect.config import Detect
from training.tasks.detect.metrics import measure
from training.tasks.detect.predict import OUTPUTS, item, predict_with
from training.tasks.detect.train import Results

_CHECKED, _CALIBRATED = 60, 100
#: Of a score; half a pixel of a corner counts as much, see ``service.tasks.detect.deviation``.
TOLERANCE = 1e-3


def publish(config: Detect, results: Results, command: str) -> Exportable:
    """Describe a trained detector for export.

    Args:
        config: what it was trained with.
        results: of that training.
        command: that makes it again, for the card.
    """
    gathered = results.gathered
    checked = _some(gathered.test, _CHECKED)
    made = graph(
        results.module,
        gathered.test.geometry,
        checked=checked,
        calibration=_some(gathered.held_out, _CALIBRATED),
        precisions=config.precisions,
    )
    sources = [*gathered.sources]
    if results.begun is not None:
        sources.insert(0, results.begun)
    return Exportable(
        name=config.name,
        version="1",
        task="detect",
        description=_description(config, results),
        graphs={"main": made},
        input=gathered.test.geometry,
        card=_card(config, results, compared=len(made.checked)),
        command=command,
        data=tuple(sources),
        licence=config.licence,
        default=config.default,
        labels=gathered.classes,
        options=options(config.threshold, config.iou_threshold),
        config=_settings(config, results),
        seed=config.training.seed,
        evaluate=Precision(gathered.test, gathered.dataset, config.iou_threshold),
        deviation=deviation,
    )


def graph(
    module: BatchedDetector,
    geometry: InputGeometry,
    *,
    checked: Sequence[Arrays] = (),
    calibration: Sequence[Arrays] = (),
    precisions: tuple[contract.Precision, ...] = ("fp32", "fp16", "int8"),
) -> Graph:
    """A detector's graph.

    Args:
        module: to export.
        geometry: of its input.
        checked: pictures to compare PyTorch and ONNX Runtime on, besides golden and even ones; the
            steady ones are, see ``training.tasks.detect.steady``.
        calibration: pictures for the 8-bit variant; none, no variant.
        precisions: the variants to make.
    """
    height, width = geometry.height, geometry.width
    golden = steady.golden(module, height, width)
    even = [{"images": torch.full((height, width, 3), grey).byte().numpy()} for grey in (0, 255)]
    return Graph(
        module=module,
        example={"images": torch.zeros(2, height, width, 3, dtype=torch.uint8)},
        outputs=OUTPUTS,
        golden=golden,
        checked=steady.steady(module, [*golden, *even, *checked], TOLERANCE),
        calibration=calibration,
        precisions=tuple(each for each in precisions if each != "int8" or calibration),
        tolerance=TOLERANCE,
        has_coordinates=True,
        translations=TRANSLATIONS,
    )


def options(threshold: float, iou_threshold: float) -> Mapping[str, float]:
    """The options of a detector's manifest.

    Args:
        threshold: score from which a request that names none is told of an object.
        iou_threshold: what it is answered with, likewise.
    """
    return {
        "score_threshold": GRAPH_SCORE,
        "iou_threshold": GRAPH_IOU,
        "default_threshold": threshold,
        "default_iou_threshold": iou_threshold,
    }


class Precision:
    """Mean average precision of one variant, through the service's session."""

    def __init__(
        self, pictures: BoxPictures, dataset: str, iou_threshold: float, split: str = "test"
    ) -> None:
        """Measure on ``pictures``, overlapping boxes left out as a request would have it."""
        self._pictures, self._dataset, self._iou = pictures, dataset, iou_threshold
        self._split = split

    def __call__(self, sessions: Mapping[str, Session]) -> Sequence[Score]:
        """Run every picture through the ``main`` graph."""
        found = predict_with(sessions["main"], self._pictures, self._iou)
        quality = measure(found, self._pictures.boxed, resamples=0)
        figures = {"map50": quality.map50, "map": quality.map, "map75": quality.map75}
        return [
            Score(name, round(value, 6), self._dataset, self._split, len(found))
            for name, value in figures.items()
        ]


def _some(pictures: BoxPictures, count: int) -> list[Arrays]:
    step = max(1, len(pictures) // count)
    return [{"images": item(pictures, at)} for at in range(0, len(pictures), step)[:count]]


def _settings(config: Detect, results: Results) -> Mapping[str, str | int | float | bool | None]:
    return {
        "architecture": results.architecture.name,
        "parameters": results.figures()["parameters"],
        "weights": told_weights(config.weights),
        "size": results.gathered.test.geometry.width,
        "frozen_stages": config.frozen_stages,
        **how_trained(
            config.training, config.optimisation, config.devices, results.outcome.seconds
        ),
    }


def _description(config: Detect, results: Results) -> str:
    if config.description:
        return config.description
    classes = results.gathered.classes
    return f"{len(classes)} classes of {results.gathered.dataset} by {results.architecture.name}."


def _card(config: Detect, results: Results, compared: int) -> Card:
    gathered, quality, figures = results.gathered, results.quality, results.figures()
    weights = told_weights(config.weights)
    begun = f"starting from `{weights}`" if weights else "from random weights"
    size = gathered.test.geometry.width
    return Card(
        summary=(
            f"{_description(config, results)} Faster R-CNN with a feature pyramid "
            f"(`{results.architecture.name}`), {figures['parameters']:,} parameters, pictures of "
            f"{size}x{size}, trained {begun} for {config.training.epochs} epochs on "
            f"{len(gathered.train)} pictures in {figures['seconds'] / 60:.0f} minutes on "
            f"{machine(config.devices)}."
        ),
        use=config.use or _use(gathered.classes),
        data=(
            f"{gathered.described} Trained on {len(gathered.train)} pictures. The epoch was chosen "
            f"on {len(gathered.held_out)} others, and what came of it measured on "
            f"{quality.pictures} test pictures that played no part in either. No picture of the "
            "set is part of this folder; the golden inputs are drawn by code."
        ).strip(),
        figures=f"{_figures(results)}\n\n{config.literature}".strip(),
        reference=(
            f"PyTorch, on {compared} pictures in which what is found hangs on no last digit, in "
            "batches of 1, 2 and 5 (a score's difference, or a corner's in units of 500 pixels)"
        ),
    )


def _use(classes: Sequence[str]) -> str:
    return (
        f"Finds objects of {len(classes)} classes ({', '.join(classes)}) and draws a box around "
        "each. It knows only objects and pictures like those it was trained on, and misses small "
        "ones first. Not for decisions about people, nor where a miss does harm."
    )


def _figures(results: Results) -> str:
    quality = results.quality
    low, high = quality.map50_interval
    lowest, highest = quality.map_interval
    rows = "\n".join(
        f"| {name} | {objects} | {ap50:.3f} | {ap:.3f} |"
        for name, objects, ap50, ap in zip(
            quality.classes,
            quality.objects,
            quality.average_precision50,
            quality.average_precision,
            strict=True,
        )
    )
    return (
        "`map` is mean average precision over overlaps of 0.5 to 0.95, `map50` and `map75` that at "
        "0.5 and 0.75, as COCO takes them. Another draw of as many test pictures would give, 95 "
        f"times of 100, a `map50` of {low:.3f} to {high:.3f} and a `map` of {lowest:.3f} to "
        f"{highest:.3f} (bootstrap over pictures). By PyTorch in float32, each class alone:\n\n"
        f"| class | objects | AP at 0.5 | AP |\n| --- | --- | --- | --- |\n{rows}"
    )
