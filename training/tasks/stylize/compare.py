"""``sightline-train stylize-compare``: networks beside the optimisation, on the same pairs.

For every pair: the losses of Gatys et al. after some iterations, of the published AdaIN, and of
networks trained here, all of pictures rounded to bytes, in the features of one VGG-19; and the time
of each on this machine. What is done is kept, pair by pair, so that an interruption costs one.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from training.data.errors import DataError
from training.data.style_pictures import FixedPairs, Pair
from training.nets.style.adain import adain_network, slim_network
from training.nets.style.loading import begin, load_vgg, published_stylizer
from training.nets.style.stylizer import Stylizer, images_of, pixels_of
from training.nets.style.vgg import Vgg19
from training.ranges import need
from training.run import replacing, write_whole
from training.tasks.stylize.config import Stylize
from training.tasks.stylize.data import gather
from training.tasks.stylize.figures import draw
from training.tasks.stylize.metrics import Quality, judge, stylized
from training.tasks.stylize.objective import Aim, Weighting
from training.tasks.stylize.optimise import Init, Optimisation, first_pixels

PUBLIC = "published AdaIN"
_SHEET, _FIGURES = "comparison.png", "comparison.json"


@dataclass(frozen=True)
class Compare:
    """Measure networks, the published decoder and the optimisation on pairs held out.

    Raises:
        ValueError: an option is out of its range.
    """

    content: tuple[Path, ...] = ()
    """Folders of photographs, as in training, so that the same are held out."""
    styles: tuple[Path, ...] = ()
    """Folders of paintings, as in training; public-domain ones from PyPI if left out."""
    full: Path | None = None
    """The best.ckpt of a full network."""
    slim: Path | None = None
    """The best.ckpt of a slim one."""
    iterations: tuple[int, ...] = (100, 500)
    """Of the optimisation, after which it is measured; from the fewest to the most."""
    init: Init = "noise"
    """What the optimisation begins with."""
    pairs: int = 16
    """Pairs held out, of which the test half is measured on."""
    side: int = 256
    """Of the squares, in pixels."""
    weighting: Weighting = field(default_factory=Weighting)
    downloads: Path | None = None
    """Folder of packages, or the files in them, downloaded already."""
    out: Path = Path("runs/stylize-compare")
    """Folder for pictures, figures and a sheet; what is in it already is not computed again."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        rising = list(self.iterations) == sorted(set(self.iterations))
        is_fit = rising and all(each >= 1 for each in self.iterations)
        need(is_fit, "iterations", "rising numbers from 1 on", self.iterations)
        need(self.pairs >= 1, "pairs", "at least 1", self.pairs)

    def run(self, console: Console) -> None:
        """Measure, write ``comparison.json`` and ``comparison.png``, and print a table.

        Raises:
            DataError: the pictures cannot be had, or the folder holds another comparison.
            FileError: weights cannot be had.
            WeightsError: weights do not fit.
            TrainingError: an optimisation's loss is not finite.
        """
        pairs = self._pairs()
        vgg = load_vgg(self.downloads)
        networks = self._networks()
        self.out.mkdir(parents=True, exist_ok=True)
        self._begin(pairs)
        found = []
        for at in range(len(pairs)):
            console.print(f"pair {at + 1} of {len(pairs)}", highlight=False)
            found.append(self._measured(pairs, at, vgg, networks))
        qualities = {
            name: Quality(
                *(
                    np.array([pair[name][key] for pair in found])
                    for key in ("total", "content", "style")
                )
            )
            for name in found[0]
        }
        seconds = {name: float(np.median([p[name]["seconds"] for p in found])) for name in found[0]}
        figures = summary(qualities, seconds, self.iterations)
        told = json.dumps({"pairs": found, "methods": figures}, indent=2)
        write_whole(self.out / _FIGURES, f"{told}\n")
        self._draw(pairs, list(found[0]))
        console.print(table(figures))

    def _pairs(self) -> FixedPairs:
        chosen = Stylize(
            content=self.content,
            styles=self.styles,
            downloads=self.downloads,
            side=self.side,
            views=1,
            pairs=self.pairs,
        )
        return gather(chosen).test

    def _networks(self) -> Mapping[str, Stylizer]:
        networks = {PUBLIC: published_stylizer(self.downloads)}
        for name, path, make in (
            ("full", self.full, adain_network),
            ("slim", self.slim, slim_network),
        ):
            if path is not None:
                networks[name] = make().eval()
                begin(networks[name], str(path))
        return networks

    def _begin(self, pairs: FixedPairs) -> None:
        """See that what the folder holds is of the same comparison."""
        config = {
            "pairs": [[content.name, style.name] for content, style in pairs.paths],
            "side": self.side,
            "weighting": asdict(self.weighting),
            "init": self.init,
            "seed": self.seed,
            "iterations": list(self.iterations),
        }
        path = self.out / "config.json"
        if path.exists() and json.loads(path.read_text()) != config:
            raise DataError(f"{self.out} holds another comparison: name another folder with --out")
        write_whole(path, json.dumps(config, indent=2) + "\n")

    def _measured(
        self, pairs: FixedPairs, at: int, vgg: Vgg19, networks: Mapping[str, Stylizer]
    ) -> dict[str, dict[str, float]]:
        """Losses and seconds by method; the optimisation's from the folder if they are there."""
        kept = self.out / f"{at:03}.json"
        pair = pairs[at]
        content, style = pair.content[None], pair.style[None]
        found: dict[str, dict[str, float]] = {}
        if kept.exists():
            found = json.loads(kept.read_text())
        else:
            for count, made, seconds in self._optimised(pair, vgg):
                found[name_of(count)] = self._told(made, pair, vgg, seconds)
                self._save(made, at, name_of(count))
            write_whole(kept, json.dumps(found))
        for name, net in networks.items():
            stylized(net, content, style)  # the first run is slower
            began = time.perf_counter()
            made = stylized(net, content, style)
            found[name] = self._told(made, pair, vgg, time.perf_counter() - began)
            self._save(made, at, name)
        return found

    def _optimised(self, pair: Pair, vgg: Vgg19) -> Iterator[tuple[int, Tensor, float]]:
        """The picture after each of the numbers of iterations, and the seconds it took so far."""
        content, style = pixels_of(pair.content[None]), pixels_of(pair.style[None])
        with torch.no_grad():
            aim = Aim.of(vgg(content), vgg(style))
        began = time.perf_counter()
        begin_with = first_pixels(content, self.init, self.seed)
        optimisation = Optimisation(vgg, aim, begin_with, self.weighting)
        done = 0
        for count in self.iterations:
            optimisation.move(count - done)
            done = count
            yield count, images_of(optimisation.pixels.detach()), time.perf_counter() - began

    def _told(self, made: Tensor, pair: Pair, vgg: Vgg19, seconds: float) -> dict[str, float]:
        losses = judge(made, pair.content[None], pair.style[None], vgg)
        return {
            "total": float(losses.total(self.weighting)),
            "content": float(losses.content),
            "style": float(losses.style),
            "seconds": seconds,
        }

    def _picture(self, at: int, name: str) -> Path:
        return self.out / f"{at:03}.{name.replace(' ', '-')}.png"

    def _save(self, made: Tensor, at: int, name: str) -> None:
        with replacing(self._picture(at, name)) as temporary:
            Image.fromarray(made[0].numpy()).save(temporary)

    def _draw(self, pairs: FixedPairs, names: list[str]) -> None:
        rows = []
        for at in range(len(pairs)):
            pair = pairs[at]
            row = [pair.content.numpy(), pair.style.numpy()]
            row += [_read(self._picture(at, name)) for name in names]
            rows.append(row)
        draw(("content", "style", *names), rows, self.out / _SHEET)


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def name_of(iterations: int) -> str:
    """What the optimisation after so many iterations is called."""
    return f"Gatys {iterations}"


def summary(
    qualities: Mapping[str, Quality], seconds: Mapping[str, float], iterations: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Each method's figures.

    Args:
        qualities: by method, all of the same pairs.
        seconds: of a picture, by method.
        iterations: of the optimisation, rising.

    Returns:
        By method ``loss`` (the geometric mean of totals), ``content``, ``style``, ``seconds``,
        ``no_worse`` (the share of pairs on which its total is no greater than that of the fewest
        iterations) and ``faster`` (how many times, than the most).
    """
    fewest, most = name_of(iterations[0]), name_of(iterations[-1])
    return {
        name: {
            "loss": quality.loss,
            "content": quality.content,
            "style": quality.style,
            "seconds": seconds[name],
            "no_worse": quality.share_no_worse(qualities[fewest]),
            "faster": seconds[most] / seconds[name],
        }
        for name, quality in qualities.items()
    }


def table(figures: Mapping[str, Mapping[str, float]]) -> Table:
    """The figures, to print."""
    columns = ("method", "loss", "content", "style", "seconds", "no worse", "faster")
    shown = Table(*columns)
    for name, each in figures.items():
        shown.add_row(
            name,
            *(f"{each[key]:.3f}" for key in ("loss", "content", "style", "seconds")),
            f"{each['no_worse']:.0%}",
            f"{each['faster']:.0f} x",
        )
    return shown
