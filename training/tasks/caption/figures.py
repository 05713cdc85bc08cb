"""Pictures of how a captioner does: its best and worst captions, and where it looks for words."""

import math
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry
from training.data.pictures import prepare
from training.run import replacing

_DPI = 110
_COLUMNS = 4
#: Around each picture with what is written at it, in inches.
_PAD = 0.1
_BEST, _WORST = "#107030", "#a01018"
#: A row of the attention sheet holds the picture and this many words, or goes on below.
_WORDS = 7
#: What stays of a picture's brightness where the network does not look.
_DARK = 0.2
_SHOWN = InputGeometry(height=320, width=320, resize="letterbox", pad_value=255)


def sheet(
    paths: Sequence[Path],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    scores: Sequence[float] | NDArray[np.float64],
    path: Path,
    count: int = 12,
) -> None:
    """Draw the pictures with the best and the worst captions, each half from the best down.

    Each has its score and its caption, and below it the reference that shares the most words with
    it; the titles of the better half are green, those of the worse red.

    Args:
        paths: of the pictures, one at least.
        captions: of each.
        references: what people say of each; one at least.
        scores: of each, the higher the better.
        path: of the picture to write, whole or not at all; its suffix says the format.
        count: how many to show at most; all where there are no more.

    Raises:
        DataError: a picture cannot be read any more.
        ValueError: there are no pictures, or not as many of each.
    """
    if not paths or not len(paths) == len(captions) == len(references) == len(scores):
        raise ValueError(
            f"there are {len(paths)} pictures, {len(captions)} captions, references of "
            f"{len(references)} and {len(scores)} scores"
        )
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable").tolist()
    half = min(count, len(order)) // 2
    better, worse = order[: min(count, len(order)) - half], order[len(order) - half :]
    shown = [*((at, _BEST) for at in better), *((at, _WORST) for at in worse)]
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    layout = ConstrainedLayoutEngine(h_pad=_PAD, w_pad=_PAD)
    figure = Figure(figsize=(3.3 * columns, 4.3 * rows), layout=layout)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (at, colour) in zip(grid.flat, shown, strict=False):
        axes.imshow(prepare(paths[at], _SHOWN))
        axes.set_title(
            _wrapped(f"{scores[at]:.2f}  {captions[at]}"),
            fontsize=8,
            color=colour,
            parse_math=False,
        )
        _write_below(axes, _wrapped(_closest(captions[at], references[at])))
    _write(figure, path)


def attention_sheet(
    paths: Sequence[Path],
    captions: Sequence[Sequence[str]],
    attention: Sequence[NDArray[np.floating]],
    geometry: InputGeometry,
    path: Path,
) -> None:
    """Draw where a network looks for each word: bright there, dark elsewhere.

    Args:
        paths: of the pictures, one at least.
        captions: the words of each picture's caption.
        attention: ``float[T, gh, gw]`` of each picture, ``T`` no less than it has words.
        geometry: of the network's input, which is what is shown.
        path: of the picture to write, whole or not at all; its suffix says the format.

    Raises:
        DataError: a picture cannot be read any more.
        ValueError: there are no pictures, not as many of each, or weights are missing for a word.
    """
    if not paths or not len(paths) == len(captions) == len(attention):
        raise ValueError(
            f"there are {len(paths)} pictures, {len(captions)} captions and attention for "
            f"{len(attention)}"
        )
    if any(len(words) > len(weights) for words, weights in zip(captions, attention, strict=True)):
        raise ValueError("a caption has more words than there are weights for")
    heights = [max(1, math.ceil(len(words) / _WORDS)) for words in captions]
    figure = Figure(figsize=(1.75 * (_WORDS + 1), 2.0 * sum(heights)), layout="constrained")
    grid = figure.subplots(sum(heights), _WORDS + 1, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    top = 0
    for file, words, weights, height in zip(paths, captions, attention, heights, strict=True):
        pixels = prepare(file, geometry)
        grid[top, 0].imshow(pixels)
        for place, word in enumerate(words):
            axes = grid[top + place // _WORDS, 1 + place % _WORDS]
            axes.imshow(lit(pixels, weights[place]))
            axes.set_title(word, fontsize=9, parse_math=False)
        top += height
    _write(figure, path)


def lit(pixels: NDArray[np.uint8], weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A picture that is as bright as the weights are high.

    Args:
        pixels: ``uint8[H, W, 3]``.
        weights: ``float[gh, gw]``, enlarged bicubically; the highest leaves pixels as they are.

    Returns:
        ``uint8[H, W, 3]``.
    """
    grid = Image.fromarray(np.asarray(weights, np.float32))
    size = (pixels.shape[1], pixels.shape[0])
    heat = np.asarray(grid.resize(size, Image.Resampling.BICUBIC)).clip(min=0)
    share = heat / max(float(heat.max()), np.finfo(np.float32).tiny)
    bright: NDArray[np.uint8] = (
        (pixels * (_DARK + (1 - _DARK) * share[..., None])).round().astype(np.uint8)
    )
    return bright


def _closest(caption: str, references: Sequence[str]) -> str:
    """The reference that shares the most words with a caption; of several the first."""
    words = set(caption.lower().split())
    return max(references, key=lambda reference: len(words & set(reference.lower().split())))


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 44, max_lines=3))


def _write_below(axes: Axes, text: str) -> None:
    axes.text(
        0.5,
        -0.02,
        text,
        transform=axes.transAxes,
        horizontalalignment="center",
        verticalalignment="top",
        fontsize=8,
        color="#505050",
        parse_math=False,
    )


def _write(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, warnings.catch_warnings():
        # Matplotlib's own font has no letters of some languages: it draws boxes for them.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(temporary, dpi=_DPI)
