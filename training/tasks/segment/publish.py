"""From a trained segmentation network to what ``training.export`` takes, words included."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from service import contract
from service.contract import InputGeometry
from service.drawing import Colour
from service.palette import written
from service.session import Arrays, Session, split, stack
from service.tasks.segment import deviation
from training.data.mask_pictures import MaskPictures
from training.data.order import evenly
from training.devices import machine
from training.exportable import Card, Exportable, Graph, Score
from training.golden import golden_candidates
from training.how_trained import how_trained
from training.made_by import told_weights
from training.nets.segmentation.segmenter import OUTPUTS, Segmenter
from training.tasks.segment.config import Segment
from training.tasks.segment.metrics import measure
from training.tasks.segment.predict import confusions_with, item
from training.tasks.segment.train import Results

_CHECKED, _CALIBRATED = 60, 100
#: Share of the pixels that may get another class, which only happens where two scores are equal
#: but for the last digits.
TOLERANCE = 1e-3
#: What the mask of a golden picture may change by in bfloat16, as ``deviation`` has it.
_STEADY = 5e-3


def publish(config: Segment, results: Results, command: str) -> Exportable:
    """Describe a trained network for export.

    Args:
        config: what it was trained with.
        results: of that training.
        command: that makes it again, for the card.
    """
    gathered = results.gathered
    made = graph(
        results.module,
        gathered.test.geometry,
        checked=_some(gathered.test, _CHECKED),
        calibration=_some(gathered.held_out, _CALIBRATED),
        precisions=config.precisions,
    )
    sources = [*gathered.sources]
    if results.begun is not None:
        sources.insert(0, results.begun)
    masked = gathered.test.masked
    return Exportable(
        name=config.name,
        version="1",
        task="segment",
        description=_description(config, results),
        graphs={"main": made},
        input=gathered.test.geometry,
        card=_card(config, results, compared=len(made.checked)),
        command=command,
        data=tuple(sources),
        licence=config.licence,
        default=config.default,
        labels=gathered.classes,
        options=options(masked.colours, masked.background),
        config=_settings(config, results),
        seed=config.training.seed,
        evaluate=MeanIou(gathered.test, gathered.dataset),
        deviation=deviation,
    )


def graph(
    module: Segmenter,
    geometry: InputGeometry,
    *,
    checked: Sequence[Arrays] = (),
    calibration: Sequence[Arrays] = (),
    precisions: tuple[contract.Precision, ...] = ("fp32", "fp16", "int8"),
) -> Graph:
    """A segmenter's graph.

    Args:
        module: to export, in evaluation mode.
        geometry: of its input.
        checked: pictures to compare PyTorch and ONNX Runtime on, besides golden ones.
        calibration: pictures for the 8-bit variant; none, no variant.
        precisions: the variants to make.
    """
    height, width = geometry.height, geometry.width
    golden = _golden(module, height, width)
    return Graph(
        module=module,
        example={"images": torch.zeros(2, height, width, 3, dtype=torch.uint8)},
        outputs=OUTPUTS,
        golden=golden,
        checked=[*golden, *checked],
        calibration=calibration,
        precisions=tuple(each for each in precisions if each != "int8" or calibration),
        tolerance=TOLERANCE,
    )


def options(palette: Sequence[Colour], background: str | None) -> Mapping[str, str]:
    """The options of a segmenter's manifest.

    Args:
        palette: the colour of each class, red, green and blue.
        background: the class that is no thing, if there is one.
    """
    colours = " ".join(written(colour) for colour in palette)
    return {"palette": colours} | ({} if background is None else {"background": background})


class MeanIou:
    """Mean IoU and pixel accuracy of one variant, through the service's session."""

    def __init__(self, pictures: MaskPictures, dataset: str, split: str = "test") -> None:
        """Measure on ``pictures``, at the size of their originals."""
        self._pictures, self._dataset, self._split = pictures, dataset, split

    def __call__(self, sessions: Mapping[str, Session]) -> Sequence[Score]:
        """Run every picture through the ``main`` graph."""
        found = confusions_with(sessions["main"], self._pictures)
        quality = measure(found, self._pictures.masked.classes, resamples=0)
        figures = {"miou": quality.miou, "pixel_accuracy": quality.pixel_accuracy}
        return [
            Score(name, round(value, 6), self._dataset, self._split, len(found))
            for name, value in figures.items()
        ]


def _golden(module: Segmenter, height: int, width: int) -> list[Arrays]:
    """Two drawn pictures to record the masks of.

    The first two that show more than one class and whose masks hardly change when digits are cut,
    so that they compare well in fewer bits too; if there are none, those that come nearest.
    """
    ranked: list[tuple[bool, float, int, NDArray[np.uint8]]] = []
    good = 0
    for picture in golden_candidates(height, width):
        found = _run(module, picture)
        with torch.autocast("cpu", torch.bfloat16):
            rough = deviation(_run(module, picture), found)
        is_plain = len(np.unique(found["mask"])) < 2
        ranked.append((is_plain, rough, len(ranked), picture))
        good += not is_plain and rough < _STEADY
        if good == 2:
            break
    return [{"images": entry[-1]} for entry in sorted(ranked, key=lambda entry: entry[:-1])[:2]]


def _run(module: Segmenter, picture: NDArray[np.uint8]) -> Arrays:
    with torch.inference_mode():
        outputs = module(torch.from_numpy(stack([picture])))
    named = zip(OUTPUTS, outputs, strict=True)
    return split({name: tensor.numpy() for name, tensor in named}, 1)[0]


def _some(pictures: MaskPictures, count: int) -> list[Arrays]:
    return [{"images": item(pictures, at)} for at in evenly(len(pictures), count)]


def _settings(config: Segment, results: Results) -> Mapping[str, str | int | float | bool | None]:
    return {
        "architecture": results.architecture.name,
        "parameters": results.figures()["parameters"],
        "weights": told_weights(config.weights),
        "height": config.height,
        "width": config.width,
        "frozen_stages": config.frozen_stages,
        "keep_statistics": config.keep_statistics,
        "class_weights": config.class_weights,
        "balance": config.balance,
        **how_trained(
            config.training, config.optimisation, config.devices, results.outcome.seconds
        ),
    }


def _description(config: Segment, results: Results) -> str:
    if config.description:
        return config.description
    classes = results.gathered.classes
    return f"{len(classes)} classes of {results.gathered.dataset} by {results.architecture.name}."


def _card(config: Segment, results: Results, compared: int) -> Card:
    gathered, figures = results.gathered, results.figures()
    weights = told_weights(config.weights)
    begun = f"starting from `{weights}`" if weights else "from random weights"
    return Card(
        summary=(
            f"{_description(config, results)} `{results.architecture.name}`, "
            f"{figures['parameters']:,} parameters, pictures of {config.width}x{config.height}, "
            f"trained {begun} for {config.training.epochs} epochs on {len(gathered.train)} "
            f"pictures in {figures['seconds'] / 60:.0f} minutes on {machine(config.devices)}."
        ),
        use=config.use or _use(gathered.classes),
        data=(
            f"Trained on {len(gathered.train)} pictures. The epoch was chosen on "
            f"{len(gathered.held_out)} others, and what came of it measured on "
            f"{results.quality.pictures} test pictures that played no part in either. No picture "
            "of the set is part of this folder; the golden inputs are drawn by code."
        ),
        figures=f"{_figures(results)}\n\n{config.literature}".strip(),
        reference=(
            f"PyTorch, on {compared} pictures in batches of 1, 2 and 5 (the share of pixels with "
            "another class, or the mean difference of their confidences if that is more)"
        ),
    )


def _use(classes: Sequence[str]) -> str:
    return (
        f"Says of every pixel which of {len(classes)} classes it belongs to "
        f"({', '.join(classes)}). It knows only pictures like those it was trained on; edges are "
        "coarse, and thin or small things are missed first. Not for decisions about people, nor "
        "where a mistake does harm."
    )


def _figures(results: Results) -> str:
    quality = results.quality
    low, high = quality.miou_interval
    pixels = quality.confusion.sum(1)
    rows = "\n".join(
        f"| {name} | {share:.2%} | {'-' if np.isnan(each) else f'{each:.3f}'} |"
        for name, share, each in zip(
            quality.classes,
            (pixels / max(int(pixels.sum()), 1)).tolist(),
            quality.iou.tolist(),
            strict=True,
        )
    )
    return (
        "`miou` is the mean over classes of intersection over union, from one confusion matrix of "
        "all test pixels at the size of the originals, void ones left out; `pixel_accuracy` the "
        "share of pixels that are right. Another draw of as many test pictures would give, 95 "
        f"times of 100, a `miou` of {low:.3f} to {high:.3f} (bootstrap over pictures). By PyTorch "
        f"in float32, each class alone:\n\n| class | share of pixels | IoU |\n| --- | --- | --- |\n"
        f"{rows}"
    )
