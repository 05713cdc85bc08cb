"""The ``sightline-train`` command."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from service.errors import SightlineError
from training.export import export
from training.files import FileError
from training.parity import ParityError
from training.tasks.classify.data import DataError
from training.tasks.classify.imagenet import imagenet

_EXAMPLES = """Train models and export them for the service.

examples:
  sightline-train imagenet                                  # make models/imagenet and -small
  sightline-train imagenet --only imagenet-small --out /tmp/models
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = tyro.extras.subcommand_cli_from_dict(
        {"imagenet": Imagenet}, args=arguments, description=_EXAMPLES
    )
    console = Console(stderr=True)
    try:
        command.run(console)
    except (SightlineError, ParityError, FileError, DataError, OSError) as error:
        print(f"sightline-train: {error}", file=sys.stderr)
        return 1
    return 0
