"""torchvision's published FCNs as served models: nothing is trained here.

``sightline-train voc-segmenter`` fetches the weights, verifies and exports them. What the served
model says of a picture, in VOC's 21 classes, is what torchvision's own network says of the same
pixels.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from service.contract import DataSource, InputGeometry, Precision
from service.tasks.segment import deviation
from training import files, torchvision_hub
from training.data.voc_masks import BACKGROUND, CLASSES, PALETTE
from training.export import export
from training.exportable import Card, Exportable
from training.files import FileError
from training.nets.pixels import Pixels
from training.nets.segmentation import architectures, loading
from training.nets.segmentation.architectures import ARCHITECTURES, SegmenterArchitecture
from training.nets.segmentation.segmenter import Segmenter
from training.ranges import need
from training.tasks.segment.config import Segment
from training.tasks.segment.publish import graph, options
from training.tasks.segment.published_pictures import Shown, gather

Report = Callable[[str], None]

PUBLISHED: Mapping[str, str] = {
    architecture.name: f"torchvision:{architecture.published}.COCO_WITH_VOC_LABELS_V1"
    for architecture in ARCHITECTURES.values()
    if architecture.published
}
"""The networks there are published weights of, and these."""

_LEAST = 32
_SOURCES = (
    DataSource(
        name="COCO 2017 (train), what the weights were trained on",
        licence="annotations CC-BY-4.0; pictures of Flickr's users under their own terms",
        url="https://cocodataset.org/#termsofuse",
    ),
    DataSource(
        name="ImageNet (ILSVRC 2012), what the body was trained on before that",
        licence="ImageNet's terms: non-commercial research",
        url="https://www.image-net.org",
    ),
)


@dataclass(frozen=True)
class VocSegmenter:
    """Fetch a published segmentation network of torchvision, verify it and export it.

    Raises:
        ValueError: an option is out of its range, or there are no such weights.
    """

    architecture: str = "fcn-resnet50"
    """fcn-resnet50, or fcn-resnet101, which is a little better and takes half as long again."""
    weights: str | None = None
    """torchvision's, fetched, if left out; or the path of their file, downloaded already, where the
    hub is out of reach."""
    downloads: Path | None = None
    """Folder of files downloaded already, this one among them."""
    name: str = "voc-resnet"
    """Of the model; the service answers under it."""
    size: int = 520
    """Side of the square that pictures are fitted into, in pixels."""
    pictures: Path | None = None
    """Folder of pictures like those to come, from which the 8-bit variant learns what values to
    expect. Without it, or --data, there is none."""
    data: Path | None = None
    """Copy of PASCAL VOC to measure on; without it nothing is measured."""
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    """Variants to write; fp16 is for GPUs, int8 for CPUs."""
    out: Path = Path("models")
    """Folder of all models."""
    default: bool = False
    """Whether /segment uses the model when a request names none."""

    def __post_init__(self) -> None:
        need(self.size >= _LEAST, "size", f"{_LEAST} or more", self.size)
        # What is asked of a network that is trained is asked of this one.
        Segment(name=self.name, height=self.size, width=self.size, precisions=self.precisions)
        if self.architecture not in PUBLISHED:
            known = ", ".join(PUBLISHED)
            raise ValueError(f"--architecture must be one of {known}, not {self.architecture}")
        given = self.weights or self.locator
        if files.is_remote(given) and given.partition("?")[0] != self.locator:
            raise ValueError(f"--weights must be {self.locator} or a file, not {given}")

    @property
    def locator(self) -> str:
        """The published weights as ``training.files`` names them."""
        return PUBLISHED[self.architecture]

    @property
    def command(self) -> str:
        """The command line for the model card."""
        chosen = ["--architecture", self.architecture, "--name", self.name]
        chosen += ["--size", str(self.size)]
        chosen += ["--pictures", self.pictures.resolve().name] if self.pictures else []
        chosen += ["--data", self.data.resolve().name] if self.data else []
        chosen += ["--precisions", *self.precisions]
        chosen += ["--default"] if self.default else []
        return shlex.join(["sightline-train", "voc-segmenter", *chosen])

    def run(self, console: Console) -> None:
        """Make the model."""

        def say(line: str) -> None:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        def report(step: str) -> None:
            say(f"{self.name}: {step}")

        folder, manifest = export(voc_segmenter(self, report), self.out, report)
        say(f"{folder}: {', '.join(manifest.precisions)}")
        for metric in manifest.metrics:
            say(f"  {metric.variant} {metric.name} {metric.value:.4f}")
        if not manifest.metrics:
            say("  not measured: give --data to measure the variants")
        say(f"serve it: sightline serve --models {self.out}")


def voc_segmenter(config: VocSegmenter, report: Report = lambda _: None) -> Exportable:
    """Prepare a published network for export.

    Args:
        config: which, and how.
        report: told of each step.

    Raises:
        FileError: the weights cannot be had or are others.
        ConversionError: their file is not what it should be.
        WeightsError: they are not of the network.
        DataError: the pictures are not what they should be.
    """
    architecture = architectures.find(config.architecture)
    report(f"fetching {config.weights or config.locator}")
    module, source = load(config)
    geometry = InputGeometry(
        height=config.size,
        width=config.size,
        resize="letterbox",
        pad_value=architecture.pad_value,
    )
    shown = gather(
        config.data, config.pictures, geometry, report, calibrate="int8" in config.precisions
    )
    main = graph(
        module,
        geometry,
        checked=shown.checked,
        calibration=shown.calibration,
        precisions=config.precisions,
    )
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Exportable(
        name=config.name,
        version="1",
        task="segment",
        description=_description(architecture),
        graphs={"main": main},
        input=geometry,
        card=_card(config, parameters, shown),
        command=config.command,
        data=(source, *_SOURCES, *shown.sources),
        licence=source.licence,
        default=config.default,
        labels=CLASSES,
        options=options(PALETTE, BACKGROUND),
        config={
            "architecture": architecture.name,
            "parameters": parameters,
            "weights": config.locator,
            "size": config.size,
        },
        evaluate=shown.evaluate,
        deviation=deviation,
    )


def load(config: VocSegmenter) -> tuple[Segmenter, DataSource]:
    """Fetch and load the weights; gives the network as it is served, and where they come from.

    Raises:
        FileError: they cannot be had or are others.
        ConversionError: their file is not what it should be.
        WeightsError: they are not of the network.
    """
    architecture = architectures.find(config.architecture)
    member = config.locator.partition(":")[2]
    url = torchvision_hub.url(member)
    net = architectures.build(architecture.name, len(CLASSES))
    wanted = config.weights or config.locator
    try:
        if not files.is_remote(wanted):
            files.check(Path(wanted), torchvision_hub.digits(member))
        loading.load(net, architecture, wanted, config.downloads, keep_classes=True)
    except FileError as error:
        size = torchvision_hub.find(member).meta["_file_size"]
        raise FileError(
            f"{error}. The file is {url} ({size:.0f} MiB): download it where that can be reached, "
            f"and name it with --weights {Path(url).name}"
        ) from error
    module = Segmenter(net, Pixels(architecture.mean, architecture.std)).eval()
    return module, DataSource(name=config.locator, licence="BSD-3-Clause", url=url)


def _description(architecture: SegmenterArchitecture) -> str:
    return (
        f"VOC's {len(CLASSES) - 1} things and the background by torchvision's {architecture.name}."
    )


def _card(config: VocSegmenter, parameters: int, shown: Shown) -> Card:
    member = torchvision_hub.find(config.locator.partition(":")[2])
    stated: Mapping[str, Any] = member.meta["_metrics"]["COCO-val2017-VOC-labels"]
    return Card(
        summary=(
            f"{_description(architectures.find(config.architecture))} A fully convolutional "
            f"network, {parameters:,} parameters. The weights are torchvision's "
            f"(`{config.locator}`), exported unchanged."
        ),
        use=(
            f"Says of every pixel which of {', '.join(CLASSES[1:])} it belongs to, if any. Edges "
            "are coarse, and thin or small things are missed first; it knows the world of "
            "Flickr's pictures. Not for decisions about people, nor where a mistake does harm."
        ),
        figures=(
            f"torchvision states a mean IoU of {stated['miou']:.1f} % on COCO's val2017, and that "
            f"{stated['pixel_acc']:.1f} % of the pixels are right, of pictures whose shorter side "
            f"is resized to 520 pixels; here they are letterboxed to {config.size}x{config.size}, "
            "which gives another figure."
        ),
        data=(
            "torchvision trained the weights on the training pictures of COCO 2017 that show one "
            f"of VOC's classes, and the body on ImageNet's before. {shown.described} No picture "
            "of these sets is part of this folder; the golden inputs are drawn by code."
        ).replace("  ", " "),
        unmeasured="--data named no pictures to measure them on",
    )
