"""torchvision's published COCO detectors as served models: nothing is trained here.

``sightline-train coco-detector`` fetches the weights, verifies and exports them. What the served
model answers with COCO's 80 labels is what torchvision's own inference gives for the same pixels,
at torchvision's thresholds.
"""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from service.contract import DataSource, InputGeometry
from service.tasks.detect import deviation
from training import files, torchvision_hub
from training.export import export
from training.exportable import Card, Exportable
from training.files import FileError
from training.nets.detection import architectures, loading
from training.nets.detection.architectures import ARCHITECTURES, DetectorArchitecture
from training.nets.detection.batched import BatchedDetector
from training.nets.detection.detector import Detector
from training.nets.pixels import Pixels
from training.tasks.detect.coco_pictures import IOU, Measured, gather
from training.tasks.detect.config import Detect
from training.tasks.detect.publish import graph, options

Report = Callable[[str], None]

LOCATORS: Mapping[str, DetectorArchitecture] = {
    f"torchvision:{architecture.published}.COCO_V1": architecture
    for architecture in ARCHITECTURES.values()
    if architecture.published
}
"""The published weights, and the detector each is of."""

#: The shorter side that torchvision resizes pictures to, and the most the longer may have.
_RESIZED = {"mobilenet_v3_large-320-fpn": (320, 640)}
_RESIZED_USUALLY = (800, 1333)
#: What torchvision calls the numbers that COCO has no class for.
_HOLE = "N/A"
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
class CocoDetector:
    """Fetch a published COCO detector of torchvision, verify it and export it.

    Raises:
        ValueError: an option is out of its range, or there are no such weights.
    """

    weights: str = "torchvision:FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1"
    """Of FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1 (the most precise),
    FasterRCNN_ResNet50_FPN_Weights.COCO_V1, FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1 and
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1 (the fastest)."""
    file: Path | None = None
    """Their file, downloaded already, where the hub is out of reach."""
    downloads: Path | None = None
    """Folder of files downloaded already, this one among them."""
    name: str = "coco"
    """Of the model; the service answers under it."""
    size: int | None = None
    """Side of the square that pictures are fitted into; the detector's own if left out."""
    threshold: float = 0.5
    """Score from which a request that names none is told of an object."""
    data: Path | None = None
    """Folder of pictures and boxes in COCO's form, with COCO's names, to measure on (its val, if
    it has one). Without it nothing is measured, and there is no 8-bit variant."""
    out: Path = Path("models")
    """Folder of all models."""
    default: bool = False
    """Whether /detect uses the model when a request names none."""

    def __post_init__(self) -> None:
        # What is asked of a detector that is trained is asked of this one.
        Detect(name=self.name, size=self.size, threshold=self.threshold)
        if self.locator not in LOCATORS:
            raise ValueError(f"--weights must be one of {', '.join(LOCATORS)}, not {self.weights}")

    @property
    def locator(self) -> str:
        """The weights as ``training.files`` names them."""
        return f"torchvision:{self.weights.removeprefix('torchvision:')}"

    @property
    def command(self) -> str:
        """The command line for the model card."""
        chosen = ["--weights", self.locator, "--name", self.name]
        chosen += ["--size", str(self.size)] if self.size else []
        chosen += ["--threshold", str(self.threshold)]
        chosen += ["--data", self.data.resolve().name] if self.data else []
        chosen += ["--default"] if self.default else []
        return shlex.join(["sightline-train", "coco-detector", *chosen])

    def run(self, console: Console) -> None:
        """Make the model."""

        def say(line: str) -> None:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        def report(step: str) -> None:
            say(f"{self.name}: {step}")

        folder, manifest = export(coco_detector(self, report), self.out, report)
        say(f"{folder}: {', '.join(manifest.precisions)}")
        for metric in manifest.metrics:
            say(f"  {metric.variant} {metric.name} {metric.value:.4f}")
        if not manifest.metrics:
            say("  not measured: give --data to measure the variants")
        say(f"serve it: sightline serve --models {self.out}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A published detector.

    Attributes:
        net: with the published weights, for COCO's 90 numbers and the background.
        source: of the weights.
        told: the numbers that are classes, from 0 on without the background.
        labels: the name of each of those.
        precision: mean average precision on COCO's val2017 as torchvision states it, in percent.
    """

    net: Detector
    source: DataSource
    told: tuple[int, ...]
    labels: tuple[str, ...]
    precision: float


def coco_detector(config: CocoDetector, report: Report = lambda _: None) -> Exportable:
    """Prepare a published detector for export.

    Args:
        config: which, and how.
        report: told of each step.

    Raises:
        FileError: the weights cannot be had or are others.
        ConversionError: their file is not what it should be.
        WeightsError: they are not of the network.
        DataError: the pictures to measure on are not what they should be.
    """
    architecture = LOCATORS[config.locator]
    size = config.size or architecture.size
    report(f"fetching {config.locator}")
    loaded = load(config)
    measured = None
    if config.data is not None:
        report(f"reading {config.data}")
        measured = gather(config.data, loaded.labels, size, architecture.pad_value, report)
    geometry = InputGeometry(
        height=size, width=size, resize="letterbox", pad_value=architecture.pad_value
    )
    pixels = Pixels(architecture.mean, architecture.std)
    main = graph(
        BatchedDetector(loaded.net, pixels, size, size, loaded.told).eval(),
        geometry,
        checked=measured.checked if measured else (),
        calibration=measured.calibration if measured else (),
    )
    return Exportable(
        name=config.name,
        version="1",
        task="detect",
        description=_description(architecture, loaded),
        graphs={"main": main},
        input=geometry,
        card=_card(config, loaded, geometry, measured),
        command=config.command,
        data=(loaded.source, *_SOURCES, *(measured.sources if measured else ())),
        licence=loaded.source.licence,
        default=config.default,
        labels=loaded.labels,
        options={**options(config.threshold, IOU), "iou_threshold": IOU},
        config={
            "architecture": architecture.name,
            "parameters": _parameters(loaded),
            "weights": config.locator,
            "size": size,
        },
        evaluate=measured.evaluate if measured else None,
        deviation=deviation,
    )


def load(config: CocoDetector) -> Loaded:
    """Fetch and load the weights, with what torchvision says of them.

    Raises:
        FileError: they cannot be had or are others.
        ConversionError: their file is not what it should be.
        WeightsError: they are not of the network.
    """
    architecture = LOCATORS[config.locator]
    meta: Mapping[str, Any] = torchvision_hub.find(_member(config.locator)).meta
    classes = meta["categories"][1:]
    net = architectures.build(architecture.name, len(classes))
    try:
        with _downloads(config) as downloads:
            begun = loading.load(net, architecture, config.locator, downloads, keep_classes=True)
    except FileError as error:
        url = torchvision_hub.url(_member(config.locator))
        raise FileError(
            f"{error}. The file is {url} ({meta['_file_size']:.0f} MiB): download it where that "
            f"can be reached, and name it with --file {Path(url).name}"
        ) from error
    # As in torchvision's answers, where detectors trained here leave requests a choice.
    net.roi_heads.nms_thresh = IOU
    told = tuple(number for number, label in enumerate(classes) if label != _HOLE)
    return Loaded(
        net,
        begun.source,
        told,
        labels=tuple(classes[number] for number in told),
        precision=meta["_metrics"]["COCO-val2017"]["box_map"],
    )


@contextmanager
def _downloads(config: CocoDetector) -> Iterator[Path | None]:
    """The folder to look for the file in; one with nothing but the file, if that is named."""
    if config.file is None:
        yield config.downloads
        return
    files.check(config.file, torchvision_hub.digits(_member(config.locator)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / config.file.name).symlink_to(config.file.resolve())
        yield Path(folder)


def _member(locator: str) -> str:
    return locator.partition(":")[2]


def _card(
    config: CocoDetector, loaded: Loaded, geometry: InputGeometry, measured: Measured | None
) -> Card:
    architecture = LOCATORS[config.locator]
    shortest, longest = _RESIZED.get(architecture.name, _RESIZED_USUALLY)
    pictures = measured.described if measured else ""
    return Card(
        summary=(
            f"{_description(architecture, loaded)} Faster R-CNN with a feature pyramid, "
            f"{_parameters(loaded):,} parameters. The weights are torchvision's "
            f"(`{config.locator}`), exported unchanged."
        ),
        use=(
            f"Finds objects of COCO's {len(loaded.labels)} classes, people, animals, vehicles, "
            "food and what stands in a house, and draws a box around each. It misses small ones "
            "first, and knows the world of Flickr's pictures. Not for decisions about people, nor "
            "where a miss does harm."
        ),
        figures=(
            f"torchvision states a box mAP of {loaded.precision:.1f} % on COCO's val2017. That is "
            f"of pictures whose shorter side is resized to {shortest} pixels, and the longer to "
            f"{longest} at most; here they are letterboxed to {geometry.width}x{geometry.height}, "
            "which gives another figure. The graph drops scores below 0.05 and overlaps above 0.5, "
            "as torchvision does. The network has numbers that COCO has no class for: they take "
            "part in the softmax, as they did in training, and are never told."
        ),
        data=(
            "torchvision trained the weights on the training pictures of COCO 2017, and the body "
            f"on ImageNet's before. {pictures} No picture of these sets is part of this folder; "
            "the golden inputs are drawn by code."
        ).replace("  ", " "),
        unmeasured="--data named no pictures to measure them on",
    )


def _description(architecture: DetectorArchitecture, loaded: Loaded) -> str:
    return f"COCO's {len(loaded.labels)} classes by torchvision's {architecture.name}."


def _parameters(loaded: Loaded) -> int:
    return sum(parameter.numel() for parameter in loaded.net.parameters())
