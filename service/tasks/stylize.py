"""Style transfer: the content of one picture in the style of others, or of presets."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, StringConstraints

from service import task
from service.contract import InputGeometry, Manifest, require_tensor, shape_of
from service.errors import InferenceError, ManifestError, ParameterError, UnusableImageError
from service.golden import tensorwise
from service.images import Picture
from service.presets import Preset, read_presets
from service.resize import Placement, fit
from service.session import Arrays
from service.task import Answered, Companions, Inferred, Original, Prepared

NAME: Final = "stylize"

#: Pixels of the smallest picture a graph takes; a smaller one is mirrored to that, and cut back.
LEAST_SIDE: Final = 16
#: Pixels of a style picture's longer side, where the model's options do not say.
STYLE_SIDE: Final = 512
_ENCODE: Final = "encode"
#: Levels of 255 that a pixel may be apart and count as the same.
_LEVELS: Final = 2

_MAX_STYLES: Final = 16
_STYLE: Final = r"^[a-z0-9][a-z0-9._-]{0,63}(:([0-9]{1,4}(\.[0-9]{1,6})?|\.[0-9]{1,6}))?$"
# What may be meant for a preset's name, or for a file's, and is no picture: the shortest is longer.
_TEXT: Final = re.compile(rb"[\w .:,~@/\\+-]{1,80}[\r\n]{0,2}")
Style = Annotated[str, StringConstraints(pattern=_STYLE)]


class Params(task.Params):
    """Query parameters of ``/stylize``."""

    style: Annotated[list[Style], Field(max_length=_MAX_STYLES)] = Field(
        [],
        description="A preset's name, repeated for several, each with `:` and a weight if it is "
        "not 1. Styles are mixed, with those of pictures in the form's field `style`, which takes "
        "a preset's name as well, by their weighted mean.",
        examples=[["wave:0.7", "fire:0.3"]],
    )
    style_weight: Annotated[
        list[Annotated[float, Field(ge=0, lt=10_000)]], Field(max_length=16)
    ] = Field([], description="Of each picture in the field `style`, in order; 1 when left out.")
    alpha: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="How far to go from the content's own style, 0, to the one asked for, 1."
    )
    preserve_color: bool = Field(
        False, description="Keep the content's colours; only its brightness takes the style."
    )
    max_side: Annotated[int, Field(ge=LEAST_SIDE, le=100_000)] | None = Field(
        None,
        description="Pixels of the answer's longer side at most; the largest the model runs when "
        "left out, and no more than that. A smaller content is not enlarged.",
        examples=[512],
    )
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Of a JPEG or WebP; 90 when left out."
    )

    def check(self, manifest: Manifest) -> None:
        """Refuse a side that the model does not run."""
        most = max(manifest.input.height, manifest.input.width)
        if self.max_side is not None and self.max_side > most:
            raise ParameterError(
                f"max_side: model {manifest.name!r} runs at most {most}, not {self.max_side}"
            )

    def picture_quality(self) -> int | None:
        """What the answer is written at."""
        return self.quality

    def weighted(self) -> Iterator[tuple[str, float]]:
        """The names of the presets asked for, and their weights."""
        for style in self.style:
            name, _, weight = style.partition(":")
            yield name, float(weight or 1)


class PresetShown(BaseModel):
    """A style that needs no picture."""

    model: str = Field(description="That knows it.")
    name: str = Field(description="For `style` of `/stylize`.")
    title: str
    source: str = Field(description="What it was computed from.")
    licence: str = Field(description="Of that source.")
    thumbnail: str = Field(
        description="Base64 of a JPEG that shows it.",
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/jpeg"},
    )


def check(manifest: Manifest, assets: Mapping[str, bytes]) -> None:
    """Ask for two graphs, whose pictures are ``images: uint8[N,H,W,3]`` of any size.

    ``encode`` makes of a style ``code: float32[N,K]``, with K a number. ``main`` takes a content,
    a code and ``alpha: float32[N]``, 0 to 1, and gives ``stylized: uint8[N,H,W,3]`` of its size.
    H and W are at least LEAST_SIDE, and no more than ``input`` says, whose rule is
    ``pad_to_multiple`` of 1. The option ``style_side``, which may be left out, is the longer side
    of a style; the asset ``presets``, which may be too, has styles by name, see
    ``service.presets.read_presets``.

    Raises:
        ManifestError: names the field that is wrong.
    """
    model, geometry = f"model {manifest.name!r}", manifest.input
    if geometry.resize != "pad_to_multiple" or geometry.multiple != 1:
        raise ManifestError(
            f"{model}: input.resize: a stylizer takes pictures of any size, which only "
            "'pad_to_multiple' of 1 gives"
        )
    least = min(geometry.height, geometry.width)
    if least < LEAST_SIDE:
        raise ManifestError(f"{model}: input: a stylizer needs sides of {LEAST_SIDE} at least")
    for role in (_ENCODE, "main"):
        require_tensor(manifest, role, "images", "uint8", ("N", "H", "W", 3))
    length = shape_of(manifest, _ENCODE, "code")[-1:]
    if not length or not isinstance(length[0], int):
        raise ManifestError(f"{model}: graphs.{_ENCODE}: needs an output code of a fixed length")
    for role in (_ENCODE, "main"):
        require_tensor(manifest, role, "code", "float32", ("N", *length))
    require_tensor(manifest, "main", "alpha", "float32", ("N",))
    require_tensor(manifest, "main", "stylized", "uint8", ("N", "H", "W", 3))
    side = manifest.options.get("style_side", STYLE_SIDE)
    if type(side) is not int or side < LEAST_SIDE:
        raise ManifestError(
            f"{model}: options.style_side: {side!r} is no number of {LEAST_SIDE} or more"
        )
    try:
        presets = presets_of(assets)
    except ValueError as error:
        raise ManifestError(f"{model}: assets.presets: {error}") from error
    for preset in presets.values():
        if preset.code.shape != length:
            raise ManifestError(
                f"{model}: assets.presets: the code of {preset.name!r} has {len(preset.code)} "
                f"numbers, those of the model {length[0]}"
            )


def presets_of(assets: Mapping[str, bytes]) -> Mapping[str, Preset]:
    """A model's presets by name, in order; there may be none."""
    return read_presets(assets["presets"]) if "presets" in assets else {}


def shown(manifest: Manifest, assets: Mapping[str, bytes]) -> list[PresetShown]:
    """A model's presets, for people to choose from."""
    return [
        PresetShown(
            model=manifest.name,
            name=preset.name,
            title=preset.title,
            source=preset.source,
            licence=preset.licence,
            thumbnail=base64.b64encode(preset.thumbnail).decode("ascii"),
        )
        for preset in presets_of(assets).values()
    ]


def prepare(picture: Picture, manifest: Manifest, params: Params) -> Prepared:
    """Shrink the content to ``images: uint8[H,W,3]``, if it is larger; ``alpha: float32[]``."""
    images, placement = fit(picture, _bounded(manifest.input, params.max_side))
    alpha = np.array(params.alpha, np.float32)
    return Prepared({"images": _mirrored(images), "alpha": alpha}, placement)


def prepare_style(picture: Picture, manifest: Manifest) -> Prepared:
    """Shrink a style to ``images: uint8[H,W,3]``, if it is larger."""
    side = int(manifest.options.get("style_side", STYLE_SIDE))
    images, placement = fit(picture, _bounded(manifest.input, side))
    return Prepared({"images": _mirrored(images)}, placement, _ENCODE)


def take_names(sent: Sequence[bytes], params: Params) -> tuple[list[bytes], Params]:
    """Take the presets that a form names in its field ``style`` for more of the query's.

    Args:
        sent: what came in the field, pictures and short texts.
        params: of the request.

    Returns:
        The pictures in order, and the parameters with what the texts say after the query's own.

    Raises:
        ParameterError: a text is no preset's name, or there are too many.
    """
    pictures, names = list[bytes](), list[str]()
    for data in sent:
        if _TEXT.fullmatch(data):
            names.append(data.decode("ascii").strip())
        else:
            pictures.append(data)
    if not names:
        return pictures, params
    for style in names:
        if not re.match(_STYLE, style):
            raise ParameterError(
                f"style: {style!r} is neither a picture nor a preset with or without a weight, as "
                "in 'wave:0.7'; curl sends a file for -F style=@FILE"
            )
    styles = [*params.style, *names]
    if len(styles) > _MAX_STYLES:
        raise ParameterError(f"style: {len(styles)} presets; at most {_MAX_STYLES} are mixed")
    return pictures, params.model_copy(update={"style": styles})


def check_styles(params: Params, assets: Mapping[str, bytes], pictures: int | None) -> None:
    """Refuse a preset that there is not, weights of no picture, and a request without a style.

    Args:
        params: of the request.
        assets: of the model.
        pictures: of styles that came with the content; None if that is not known yet.

    Raises:
        ParameterError: names the parameter, and the presets that there are.
    """
    presets = presets_of(assets)
    names = ", ".join(presets) or "none"
    for name, _ in params.weighted():
        if name not in presets:
            raise ParameterError(f"style: there is no preset {name!r}; there are: {names}")
    if pictures is None:
        return
    if len(params.style_weight) > pictures:
        raise ParameterError(
            f"style_weight: there are {len(params.style_weight)} weights for {pictures} pictures "
            "in the field 'style'"
        )
    if not pictures and not params.style:
        raise ParameterError(
            "style: name a preset (?style=...) or send a picture in the form's field 'style'; "
            f"presets: {names}"
        )
    if not sum(_weights(params, pictures)):
        raise ParameterError("style: all weights are 0")


def verify_code(outputs: Arrays) -> None:
    """Refuse a style that the model finds no style in: no content could take it on.

    Raises:
        UnusableImageError: the code of a style picture is not finite.
    """
    if not np.isfinite(outputs["code"]).all():
        raise UnusableImageError("the model finds no style in it (its code is not finite)")


def mix(codes: Sequence[Arrays], assets: Mapping[str, bytes], params: Params) -> Arrays:
    """The weighted mean of the codes of style pictures and of presets, ``code: float32[K]``.

    Means and deviations of features, which a code has, mix linearly (Huang and Belongie, 2017,
    https://arxiv.org/abs/1703.06868, section 7.3).
    """
    presets = presets_of(assets)
    of_pictures = [outputs["code"] for outputs in codes]
    mixed = [*of_pictures, *(presets[name].code for name, _ in params.weighted())]
    weights = np.array(_weights(params, len(of_pictures)), np.float64)
    weights /= weights.max()  # the smallest numbers there are lose all their digits in a sum
    return {"code": np.average(mixed, axis=0, weights=weights).astype(np.float32)}


STYLES: Final = Companions(
    "style", ("content", "file"), take_names, check_styles, prepare_style, verify_code, mix
)
"""The pictures and names in a form's field ``style``."""


def finish(inferred: Inferred, params: Params) -> Answered:  # noqa: ARG001
    """What is known of an answer beside its picture; no request asks for that."""
    return Answered(**inferred.common)


def draw(original: Original, inferred: Inferred, params: Params) -> Image.Image:
    """The content in the style asked for, at the size that was run.

    With ``preserve_color`` it has the luma of that and the chroma of the content (ITU-T T.871).

    Raises:
        InferenceError: the graph gave a picture of another size.
    """
    width, height = _size(inferred.placement)
    stylized = inferred.outputs["stylized"]
    if stylized.shape != (max(height, LEAST_SIDE), max(width, LEAST_SIDE), 3):
        raise InferenceError(f"the model gave {stylized.shape} for a picture of {width}x{height}")
    drawn = Image.fromarray(stylized[:height, :width])
    if not params.preserve_color:
        return drawn
    pixels = original()
    whole = Picture(pixels, *pixels.size, (0, 0, *pixels.size))
    content, _ = fit(whole, _bounded(inferred.manifest.input, params.max_side))
    _, blue, red = Image.fromarray(content).convert("YCbCr").split()
    luma = drawn.convert("YCbCr").getchannel(0)
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")


def deviation(actual: Arrays, expected: Arrays) -> float:
    """How far apart two outputs are.

    Returns:
        Of pictures, the share of pixels that are more than 2 levels apart in a channel; of codes,
        the largest difference; infinite for different shapes.
    """
    if "stylized" not in expected:
        return tensorwise(actual, expected)
    seen, wanted = actual["stylized"], expected["stylized"]
    if seen.shape != wanted.shape:
        return float("inf")
    apart = np.abs(seen.astype(np.int16) - wanted) > _LEVELS
    return float(apart.any(axis=-1).mean())


def _bounded(geometry: InputGeometry, side: int | None) -> InputGeometry:
    """The same rule for no more than so many pixels a side."""
    if side is None:
        return geometry
    sides = {"height": min(geometry.height, side), "width": min(geometry.width, side)}
    return geometry.model_copy(update=sides)


def _mirrored(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels ``uint8[H,W,3]``, mirrored right and below to LEAST_SIDE where they are fewer."""
    height, width, _ = images.shape
    missing = (max(0, LEAST_SIDE - height), max(0, LEAST_SIDE - width))
    if not any(missing):
        return images
    return np.pad(images, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


def _size(placement: Placement) -> tuple[int, int]:
    """Width and height of what was run, but for what was mirrored."""
    scale_x, scale_y = placement.scale
    return round(placement.width * scale_x), round(placement.height * scale_y)


def _weights(params: Params, pictures: int) -> list[float]:
    """Of the style pictures, in order, and then of the presets."""
    missing = pictures - len(params.style_weight)
    return [*params.style_weight, *[1.0] * missing, *(weight for _, weight in params.weighted())]
