"""Segmentation: which of the model's labels every pixel of a picture belongs to."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from service import labels, task
from service.contract import Dimension, Manifest, require_tensor
from service.drawing import readable
from service.errors import InferenceError, ManifestError
from service.images import Picture
from service.legend import Entry, draw_legend
from service.masks import areas, crop, to_original
from service.overlay import lay_over
from service.palette import VOID, palette, voc_colour, written
from service.polygons import polygons
from service.resize import Placement, fit
from service.run_length import compressed, run_lengths
from service.runs import Runs, runs
from service.session import Arrays
from service.task import Answered, Inferred, Original, Prepared

NAME: Final = "segment"

#: Masks of more pixels are not told in a run slot's thread.
_LONG_PIXELS: Final = 4_000_000


class Params(task.Params):
    """Query parameters of ``/segment``."""

    classes: labels.Classes = Field(
        [],
        description="Labels to answer with, repeated or separated by commas; all but the model's "
        "`background` when left out.",
    )
    min_area: Annotated[int, Field(ge=0)] = Field(
        0, description="Leave out classes with fewer pixels of the upright picture."
    )
    mask: Literal["rle", "polygon", "png", "none"] = Field(
        "rle",
        description="How JSON tells each class's mask: COCO's run-length encoding, polygons, a "
        "PNG, or not at all.",
    )

    def check(self, manifest: Manifest) -> None:
        """Refuse a class the model does not know."""
        labels.positions(self.classes, manifest)

    def is_long(self, placement: Placement) -> bool:
        """A mask takes 20 to 80 nanoseconds a pixel of the original: some are tens of millions."""
        return placement.width * placement.height > _LONG_PIXELS


class Extent(BaseModel):
    """Edges of pixels of the upright picture, from its upper left corner."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


class RunLengths(BaseModel):
    """A mask in COCO's run-length encoding, as `pycocotools.mask.decode` takes it."""

    format: Literal["rle"] = "rle"
    size: Annotated[list[int], Field(min_length=2, max_length=2)] = Field(
        description="Height and width of the upright picture."
    )
    counts: str = Field(description="COCO's compressed string.")


class Polygons(BaseModel):
    """A mask as polygons that cover exactly its pixels, in COCO's flat form."""

    format: Literal["polygon"] = "polygon"
    polygons: list[list[int]] = Field(
        description="For every part `[x1, y1, x2, y2, ...]`, corners of pixels of the upright "
        "picture. A hole is joined to the outline by a cut of no width."
    )


class Png(BaseModel):
    """A mask as a picture."""

    format: Literal["png"] = "png"
    data: str = Field(
        description="Base64 of a 1-bit PNG of the upright picture's size; 1 is the class.",
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"},
    )


Mask = Annotated[RunLengths | Polygons | Png, Field(discriminator="format")]


class Segment(BaseModel):
    """All pixels of one class."""

    label: str
    index: int = Field(description="Position of the label in the model's list, from 0.")
    colour: str = Field(description="`#rrggbb`, as in pictures.")
    pixels: int = Field(description="How many of the upright picture.")
    share: float = Field(description="Of the upright picture, 0 to 1.")
    confidence: float = Field(
        description="Mean probability of the label over its pixels as the model saw them, 0 to 1."
    )
    box: Extent = Field(description="Around the pixels.")
    mask: Mask | None = Field(description="As `mask` asks; null for `none`.")


class Result(Answered):
    """The answer to one picture, largest class first."""

    segments: list[Segment]


def check(manifest: Manifest, assets: Mapping[str, bytes]) -> None:  # noqa: ARG001
    """Ask for ``images: uint8[N,H,W,3]`` -> mask and confidence of the same size, 2 to 255 labels.

    ``mask: uint8[N,H,W]`` holds positions in the labels, ``confidence: uint8[N,H,W]`` the
    probability of that label times 255. The options are ``background``, one of the labels, and
    ``palette``, a ``#rrggbb`` for every label; both may be left out.

    Raises:
        ManifestError: names the field that is wrong.
    """
    model, geometry = f"model {manifest.name!r}", manifest.input
    if geometry.resize == "shortest_side":
        raise ManifestError(f"{model}: input.resize: 'shortest_side' leaves pixels without a label")
    side: tuple[Dimension, Dimension] = (geometry.height, geometry.width)
    if geometry.resize == "pad_to_multiple":
        side = ("H", "W")
    require_tensor(manifest, "main", "images", "uint8", ("N", *side, 3))
    require_tensor(manifest, "main", "mask", "uint8", ("N", *side))
    require_tensor(manifest, "main", "confidence", "uint8", ("N", *side))
    if not 2 <= len(manifest.labels) <= VOID:
        raise ManifestError(f"{model}: labels: a segmenter needs 2 to {VOID}")
    background = manifest.options.get("background")
    if background is not None and background not in manifest.labels:
        raise ManifestError(f"{model}: options.background: {background!r} is none of the labels")
    palette(manifest)


def prepare(picture: Picture, manifest: Manifest, params: Params) -> Prepared:  # noqa: ARG001
    """Resize the picture to ``images: uint8[H,W,3]``."""
    images, placement = fit(picture, manifest.input)
    return Prepared({"images": images}, placement)


def finish(inferred: Inferred, params: Params) -> Result:
    """Tell of every class that the request asks for, at the size of the upright original.

    Raises:
        InferenceError: the mask holds a position that is no label's, or is of another size.
    """
    seen = _see(inferred, params)
    colours = palette(inferred.manifest)
    sure = _confidence(inferred)
    of_class = runs(seen.mask, seen.kept)
    segments = []
    for index in seen.kept:
        left, top, right, bottom = of_class[index].box
        segments.append(
            Segment(
                label=inferred.manifest.labels[index],
                index=index,
                colour=written(colours[index]),
                pixels=seen.pixels[index],
                share=round(seen.pixels[index] / seen.mask.size, 6),
                confidence=round(sure[index], 6),
                box=Extent(x_min=left, y_min=top, x_max=right, y_max=bottom),
                mask=_told(params.mask, seen.mask, index, of_class[index]),
            )
        )
    return Result(**inferred.common, segments=segments)


def draw_mask(original: Original, inferred: Inferred, params: Params) -> Image.Image:  # noqa: ARG001
    """The mask as a picture of mode P: positions of labels, with their colours.

    Pixels of classes that are left out get the position of the background, or VOID where there is
    none or it was asked for.

    Raises:
        InferenceError: the mask holds a position that is no label's, or is of another size.
    """
    seen, manifest = _see(inferred, params), inferred.manifest
    background = _background(manifest)
    rest = VOID if background is None or background in seen.asked else background
    values = np.full(256, rest, np.uint8)
    values[seen.kept] = seen.kept
    picture = Image.fromarray(values[seen.mask])
    unused = [voc_colour(VOID)] * (256 - len(manifest.labels))
    picture.putpalette(np.array([*palette(manifest), *unused], np.uint8).tobytes())
    return picture


def draw_overlay(original: Original, inferred: Inferred, params: Params) -> Image.Image:
    """The upright original with its classes coloured, all but the background, and a legend.

    Raises:
        InferenceError: the mask holds a position that is no label's, or is of another size.
    """
    seen, manifest = _see(inferred, params), inferred.manifest
    colours = palette(manifest)
    shown = [index for index in seen.kept if index != _background(manifest)]
    picture = lay_over(original(), seen.mask, {index: colours[index] for index in shown})
    entries = [
        Entry(
            colours[index],
            f"{readable(manifest.labels[index], index)} {seen.pixels[index] / seen.mask.size:.1%}",
        )
        for index in shown
    ]
    small = crop(inferred.outputs["mask"], inferred.placement)
    return draw_legend(picture, entries, np.isin(small, shown))


def deviation(actual: Arrays, expected: Arrays) -> float:
    """How far apart two outputs are.

    Returns:
        The share of pixels whose label differs, or the mean difference of the confidences as
        probabilities if that is more; infinite for different shapes.
    """
    if any(actual[name].shape != expected[name].shape for name in ("mask", "confidence")):
        return float("inf")
    differing = np.mean(actual["mask"] != expected["mask"])
    apart = np.abs(actual["confidence"].astype(np.int16) - expected["confidence"]).mean() / 255
    return float(max(differing, apart))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is to be told of a picture.

    Attributes:
        mask: ``uint8[H,W]``, positions of labels at the size of the upright original.
        pixels: how many of each position.
        asked: positions of the classes asked for.
        kept: those of them that the answer has, the largest first.
    """

    mask: NDArray[np.uint8]
    pixels: list[int]
    asked: list[int]
    kept: list[int]


def _see(inferred: Inferred, params: Params) -> _Seen:
    manifest, placement = inferred.manifest, inferred.placement
    mask, confidence = inferred.outputs["mask"], inferred.outputs["confidence"]
    if mask.shape != confidence.shape:
        raise InferenceError(f"the mask is {mask.shape}, its confidence {confidence.shape}")
    if mask.size and mask.max() >= len(manifest.labels):
        raise InferenceError(
            f"the mask has a {mask.max()}; there are {len(manifest.labels)} labels"
        )
    try:
        whole = to_original(mask, placement)
    except ValueError as error:
        raise InferenceError(f"the mask does not hold the picture: {error}") from error
    pixels = areas(whole)
    asked = labels.positions(params.classes, manifest)
    if not params.classes:
        asked = [index for index in range(len(manifest.labels)) if index != _background(manifest)]
    least = max(1, params.min_area)
    kept = [index for index in asked if pixels[index] >= least]
    return _Seen(whole, pixels, asked, sorted(kept, key=lambda index: -pixels[index]))


def _background(manifest: Manifest) -> int | None:
    label = manifest.options.get("background")
    return None if label is None else manifest.labels.index(str(label))


def _confidence(inferred: Inferred) -> Mapping[int, float]:
    """The mean confidence of each class at the graph's resolution, without the padding."""
    mask = crop(inferred.outputs["mask"], inferred.placement).ravel()
    confidence = crop(inferred.outputs["confidence"], inferred.placement).ravel()
    counts, sums = np.bincount(mask), np.bincount(mask, confidence)
    return {
        index: float(sums[index] / counts[index] / 255) for index in np.flatnonzero(counts).tolist()
    }


def _told(
    kind: str, mask: NDArray[np.uint8], index: int, of_class: Runs
) -> RunLengths | Polygons | Png | None:
    if kind == "rle":
        counts = compressed(run_lengths(of_class))
        return RunLengths(size=[of_class.height, of_class.width], counts=counts)
    if kind == "polygon":
        # As they are: validation would go through millions of numbers, and copy them.
        return Polygons.model_construct(polygons=polygons(of_class))
    if kind == "none":
        return None
    buffer = io.BytesIO()
    Image.fromarray(mask == index).save(buffer, "PNG")
    return Png(data=base64.b64encode(buffer.getvalue()).decode("ascii"))
