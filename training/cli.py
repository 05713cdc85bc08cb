"""The ``sightline-train`` command."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console

from service.errors import SightlineError
from training.conversions import ConversionError
from training.data.errors import DataError
from training.export import export
from training.files import FileError
from training.loop import TrainingError
from training.nets.architectures import ArchitectureError
from training.parity import ParityError
from training.registries import RegistryError
from training.run import RunError
from training.scaling import Scaling
from training.tasks.caption import command as caption_command
from training.tasks.caption.config import Caption
from training.tasks.caption.presets import FOLDER as CAPTIONS_FOLDER
from training.tasks.caption.presets import PRESETS as CAPTIONERS
from training.tasks.classify import command as classify_command
from training.tasks.classify.ablate import Ablate
from training.tasks.classify.config import Classify
from training.tasks.classify.imagenet import imagenet
from training.tasks.classify.presets import FOLDER, PRESETS
from training.tasks.detect import command as detect_command
from training.tasks.detect.coco import CocoDetector
from training.tasks.detect.config import Detect
from training.tasks.detect.presets import FOLDER as BOXES_FOLDER
from training.tasks.detect.presets import PRESETS as DETECTORS
from training.tasks.segment import command as segment_command
from training.tasks.segment.config import Segment
from training.tasks.segment.presets import FOLDER as MASKS_FOLDER
from training.tasks.segment.presets import PRESETS as SEGMENTERS
from training.tasks.segment.published import VocSegmenter
from training.tasks.stylize import command as stylize_command
from training.tasks.stylize.compare import Compare
from training.tasks.stylize.config import Stylize
from training.tasks.stylize.gatys import DESCRIPTION as GATYS
from training.tasks.stylize.gatys import Gatys
from training.tasks.stylize.presets import FOLDER as STYLES_FOLDER
from training.tasks.stylize.presets import PRESETS as STYLIZERS
from training.weights import WeightsError

_EXAMPLES = """Train models and export them for the service.

examples:
  sightline-train classify --data my_photos --name pets     # a folder of pictures for each class
  sightline-train classify --data my_photos --name pets \\
      --weights torchvision:ResNet50_Weights.IMAGENET1K_V2
  sightline-train mnist --seeds 5                           # a recipe of the literature
  sightline-train cifar10-resnet18 --devices 2 --precision bf16-mixed
  sightline-train detect --data my_boxes --name parts       # VOC's or COCO's form
  sightline-train bccd --data BCCD_Dataset/BCCD
  sightline-train coco-detector                             # torchvision's, 80 classes
  sightline-train segment --data my_masks --name roofs      # images/, masks/ and labels.txt
  sightline-train camvid --data CamVid
  sightline-train voc-segmenter                             # torchvision's FCN, 21 classes
  sightline-train caption --data my_captions --name garden  # pictures and captions.csv
  sightline-train flickr8k --data Flickr8k
  sightline-train stylize --content photos --styles paintings --name brush
  sightline-train gatys --content a.jpg --style b.jpg --out c.png
  sightline-train mnist --resume                            # go on after an interruption
  sightline-train ablate --families depth --precision bf16-mixed
  sightline-train scaling --processes 1 2 4 8
  sightline-train imagenet                                  # make models/imagenet and -small
  sightline-train imagenet --data imagenet-sample-images    # and measure every variant
  sightline-train imagenet --downloads ~/packages           # without reaching a registry
"""


@dataclass(frozen=True)
class Imagenet:
    """Fetch published ImageNet classifiers, verify them and export them."""

    out: Path = Path("models")
    """Folder of all models."""
    only: tuple[Literal["imagenet", "imagenet-small"], ...] = field(
        default=("imagenet", "imagenet-small")
    )
    """Which models to make."""
    data: Path | None = None
    """Folder of the 1000 pictures of github.com/EliSchwartz/imagenet-sample-images. Without it
    the figures recorded earlier stay only with files that come out byte for byte the same."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""

    def run(self, console: Console) -> None:
        """Make the models one after the other."""
        for name in self.only:
            with console.status(f"{name}: fetching weights and pictures") as status:
                exportable = imagenet(name, self.data, self.downloads)

                def report(step: str, name: str = name) -> None:
                    status.update(f"{name}: {step}")
                    console.log(f"{name}: {step}")

                folder, manifest = export(exportable, self.out, report)
            console.print(f"[bold]{folder}[/bold]: {', '.join(manifest.precisions)}")
            for metric in manifest.metrics:
                console.print(f"  {metric.variant} {metric.name} {metric.value:.4f}")
            if not manifest.metrics:
                console.print("  not measured: give --data to measure the variants")


COMMANDS: Mapping[str, tuple[Any, str]] = {
    "classify": (FOLDER, "Train a classifier on a folder of pictures for each class."),
    **{
        name: (preset, f"Train {preset.architecture} on {preset.dataset}.")
        for name, preset in PRESETS.items()
    },
    "detect": (BOXES_FOLDER, "Train a detector on pictures with boxes, in VOC's or COCO's form."),
    "bccd": (DETECTORS["bccd"], "Train the detector of blood cells."),
    "everyday": (DETECTORS["everyday"], "Train the detector of 20 everyday classes."),
    "coco-detector": (CocoDetector(), "Fetch a published COCO detector, verify and export it."),
    "segment": (MASKS_FOLDER, "Train a segmentation network on pictures with masks."),
    "voc": (SEGMENTERS["voc"], "Train the network for 20 everyday classes, pixel by pixel."),
    "camvid": (SEGMENTERS["camvid"], "Train the network for 11 classes of a street."),
    "camvid-segnet": (SEGMENTERS["camvid-segnet"], "Train SegNet on the same pictures."),
    "voc-segmenter": (VocSegmenter(), "Fetch a published segmentation network and export it."),
    "caption": (CAPTIONS_FOLDER, "Train a captioner on pictures and what people say of them."),
    "flickr8k": (CAPTIONERS["flickr8k"], "Train the captioner with attention on Flickr8k."),
    "flickr8k-nic": (CAPTIONERS["flickr8k-nic"], "Train one that sees the picture once."),
    "stylize": (STYLES_FOLDER, "Train a network that gives photographs the style of paintings."),
    "stylize-full": (STYLIZERS["stylize-full"], "Train AdaIN, from the published decoder on."),
    "stylize-slim": (STYLIZERS["stylize-slim"], "Train the slim network for CPUs."),
    "stylize-compare": (Compare(), "Measure networks and Gatys' optimisation on the same pairs."),
    "gatys": (Gatys(), GATYS),
    "ablate": (Ablate(), "Train with one thing changed at a time; write a table and plots."),
    "scaling": (Scaling(), "Measure a training step with more processes and fewer bits."),
    "imagenet": (Imagenet(), "Fetch published ImageNet classifiers, verify and export them."),
}

_ERRORS = (
    SightlineError,
    ArchitectureError,
    ConversionError,
    DataError,
    FileError,
    ParityError,
    RegistryError,
    RunError,
    TrainingError,
    WeightsError,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen: Any = tyro.cli(
        tyro.extras.subcommand_type_from_defaults(
            {name: default for name, (default, _) in COMMANDS.items()},
            descriptions={name: text for name, (_, text) in COMMANDS.items()},
        ),
        args=given,
        description=_EXAMPLES,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    console = Console(stderr=True)
    try:
        if isinstance(chosen, Classify):
            classify_command.run(chosen, console, given)
        elif isinstance(chosen, Detect):
            detect_command.run(chosen, console, given)
        elif isinstance(chosen, Segment):
            segment_command.run(chosen, console, given)
        elif isinstance(chosen, Caption):
            caption_command.run(chosen, console, given)
        elif isinstance(chosen, Stylize):
            stylize_command.run(chosen, console, given)
        else:
            chosen.run(console)
    except _ERRORS as error:
        print(f"sightline-train: {error}", file=sys.stderr)
        return 1
    return 0
