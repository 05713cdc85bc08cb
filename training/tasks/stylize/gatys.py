"""``sightline-train gatys``: one picture in the style of another, by optimising its pixels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from service.contract import InputGeometry
from training.data.errors import DataError
from training.data.pictures import prepare
from training.devices import Devices, launch
from training.nets.style.loading import load_vgg
from training.nets.style.stylizer import images_of, pixels_of
from training.nets.style.vgg import LAYERS, LEAST_SIDE
from training.progress import Progress
from training.ranges import need
from training.run import replacing
from training.tasks.stylize.objective import Aim, Weighting
from training.tasks.stylize.optimise import Init, Optimisation, first_pixels

DESCRIPTION = """Give one picture the style of another, as Gatys et al. did: the slow reference.

example: sightline-train gatys --content a.jpg --style b.jpg --out c.png --iterations 300
"""
"""Of the command."""

_FORMATS = (".png", ".jpg", ".jpeg", ".webp")
#: Iterations between two figures of a log, and between two looks at whether a picture is due.
_CHUNK = 25


@dataclass(frozen=True)
class Gatys:
    """Give one picture the style of another by optimising its pixels: slow, and the reference.

    Raises:
        ValueError: an option is out of its range, or does not go with another.
    """

    content: Path | None = None
    """Picture that gives the content."""
    style: Path | None = None
    """Picture that gives the style."""
    out: Path = Path("stylized.png")
    """Picture to write: .png, .jpg or .webp."""
    side: int = 512
    """Longest side of both, in pixels; larger ones are shrunk."""
    iterations: int = 500
    """Of L-BFGS."""
    init: Init = "noise"
    """What to begin with: white noise, or the content."""
    content_layers: tuple[str, ...] = ("relu4_2",)
    """Activations of VGG-19 by which the content is told."""
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    """Activations of VGG-19 by which the style is told."""
    weighting: Weighting = field(default_factory=Weighting)
    snapshots: int = 0
    """Iterations between pictures written on the way, beside the last; 0 writes none."""
    seed: int = 0
    """Of the noise."""
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    devices: Devices = field(default_factory=Devices)

    def __post_init__(self) -> None:
        need(self.side >= LEAST_SIDE, "side", f"{LEAST_SIDE} or more", self.side)
        need(self.iterations >= 1, "iterations", "at least 1", self.iterations)
        need(self.snapshots >= 0, "snapshots", "0 or more", self.snapshots)
        known = self.out.suffix.lower() in _FORMATS
        need(known, "out", f"named {', '.join(_FORMATS)}", self.out.name)
        for name in ("content_layers", "style_layers"):
            layers: tuple[str, ...] = getattr(self, name)
            is_known = bool(layers) and set(layers) <= set(LAYERS)
            need(is_known, name.replace("_", "-"), f"of {', '.join(LAYERS)}", " ".join(layers))
        if self.devices.devices * self.devices.nodes > 1:
            raise ValueError("one picture is optimised by one process: --devices 1")

    def run(self, console: Console) -> None:
        """Optimise, and write the picture, whole or not at all.

        Raises:
            DataError: a picture cannot be read, or is too small.
            FileError: the weights cannot be had.
            TrainingError: the loss is not finite.
        """
        content, style = self._read(self.content, "content"), self._read(self.style, "style")
        device = launch(self.devices).device
        layers = tuple(dict.fromkeys((*self.content_layers, *self.style_layers)))
        vgg = load_vgg(self.downloads, layers).to(device)
        content, style = content.to(device), style.to(device)
        with torch.no_grad():
            aim = Aim.of(vgg(content), vgg(style), self.content_layers, self.style_layers)
        begin = first_pixels(content, self.init, self.seed)
        optimisation = Optimisation(vgg, aim, begin, self.weighting)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with Progress("gatys", self.iterations, shown=True) as progress:
            done = 0
            while done < self.iterations:
                move = min(_CHUNK, self.iterations - done, self._until_snapshot(done))
                optimisation.move(move, lambda _, figures: progress.figures(figures))
                done += move
                progress.step(done)
                if self.snapshots and done % self.snapshots == 0 and done < self.iterations:
                    self._write(optimisation.pixels, self._snapshot(done))
        self._write(optimisation.pixels, self.out)
        console.print(str(self.out), highlight=False, markup=False, soft_wrap=True)

    def _until_snapshot(self, done: int) -> int:
        return self.snapshots - done % self.snapshots if self.snapshots else self.iterations

    def _snapshot(self, done: int) -> Path:
        return self.out.with_name(f"{self.out.stem}.{done:05}{self.out.suffix}")

    def _read(self, path: Path | None, option: str) -> Tensor:
        if path is None:
            raise DataError(f"name a picture with --{option}, such as --{option} {option}.jpg")
        geometry = InputGeometry(height=self.side, width=self.side, resize="pad_to_multiple")
        pixels = np.array(prepare(path, geometry))
        if min(pixels.shape[:2]) < LEAST_SIDE:
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise DataError(f"{path} is {size} pixels: {LEAST_SIDE} a side are the least")
        return pixels_of(torch.from_numpy(pixels)[None])

    def _write(self, pixels: Tensor, path: Path) -> None:
        with replacing(path) as temporary:
            Image.fromarray(images_of(pixels.detach())[0].cpu().numpy()).save(temporary, quality=95)
