"""The photographs and paintings a network that stylizes is trained, chosen and measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.contract import DataSource
from training.data.errors import DataError
from training.data.paintings import SOURCE, painting_files
from training.data.pictures import SMALLEST, examine
from training.data.style_pictures import (
    FixedPairs,
    StylePairs,
    find_pictures,
    hold_out_pictures,
    views,
)
from training.tasks.stylize.config import Stylize

Report = Callable[[str], None]

#: The parts are the same for every training, so that trainings can be compared.
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """Pictures made ready for one configuration.

    Attributes:
        train: pairs to learn from.
        held_out: pairs to choose the best epoch by.
        test: pairs to measure on, once.
        views: ``uint8[V, S, S, 3]``, of the paintings to learn from.
        counts: photographs and paintings to learn from.
        faults: a line for every picture that is left out.
        sources: for the manifest.
    """

    train: StylePairs
    held_out: FixedPairs
    test: FixedPairs
    views: NDArray[np.uint8]
    counts: tuple[int, int]
    faults: tuple[str, ...]
    sources: tuple[DataSource, ...]


def gather(config: Stylize, report: Report = lambda _: None) -> Gathered:
    """Read the pictures a configuration names and divide them.

    Args:
        config: names the folders.
        report: told of each step.

    Raises:
        DataError: there are too few pictures, or a folder cannot be read.
        FileError: paintings cannot be fetched.
    """
    if not config.content:
        raise DataError("name folders of photographs with --content DIR")
    report("looking at the pictures")
    contents, faults = _readable(find_pictures(config.content), "photographs")
    drawn, more = _readable(
        find_pictures(config.styles) if config.styles else painting_files(config.downloads),
        "paintings",
    )
    learned, others = hold_out_pictures(contents, config.held_out, _SPLIT_SEED)
    styles, other_styles = hold_out_pictures(drawn, config.held_out, _SPLIT_SEED)
    half = max(1, len(other_styles) // 2)
    chosen_styles, test_styles = other_styles[:half], other_styles[half:] or other_styles
    count = min(config.pairs, max(1, len(others) // 2))
    made = views(styles, config.views, config.side, config.training.seed)
    return Gathered(
        train=StylePairs(
            learned, made, config.side, config.samples, config.training.seed, config.crop
        ),
        held_out=FixedPairs(others[:count], chosen_styles, config.side),
        test=FixedPairs(others[count : 2 * count] or others, test_styles, config.side),
        views=made,
        counts=(len(learned), len(styles)),
        faults=(*faults, *more),
        sources=_sources(config),
    )


def _readable(paths: Sequence[Path], what: str) -> tuple[list[Path], list[str]]:
    """Those pictures that can be decoded, and what is wrong with the others."""
    faults = examine(paths, SMALLEST)
    good = [path for at, path in enumerate(paths) if at not in faults]
    if len(good) < 2:
        first = f"; the first fault: {next(iter(faults.values()))}" if faults else ""
        raise DataError(f"at least 2 {what} are needed, to hold one out: {len(good)} found{first}")
    return good, list(faults.values())


def _sources(config: Stylize) -> tuple[DataSource, ...]:
    names = ", ".join(folder.resolve().name for folder in config.content)
    home = config.content_url
    photographs = DataSource(
        name=names if home else f"{names} (pictures of the user)",
        licence=config.content_licence,
        url=home,
    )
    if not config.styles:
        name = SOURCE.name.removesuffix(", calibration")
        return photographs, DataSource(name=name, licence=SOURCE.licence, url=SOURCE.url)
    names = ", ".join(folder.resolve().name for folder in config.styles)
    return photographs, DataSource(
        name=f"{names} (pictures of the user)", licence=config.styles_licence
    )
