"""What the user says of a file's pixels, held against what the file says."""

import argparse
from typing import Any

from pydantic import ValidationError

from service.contract import InputGeometry, describe
from training.foreign.errors import ForeignFileError
from training.foreign.flags import CROP, TYPES
from training.foreign.preprocessing import PRESETS, Layout, Normalisation, Preprocessing
from training.foreign.source import ForeignFile


def preprocessing_of(file: ForeignFile, parsed: argparse.Namespace) -> Preprocessing:
    """The arithmetic: what the flags say, completed by the file's input.

    Raises:
        ForeignFileError: they contradict one another, or leave something open.
    """
    source = file.input
    if source.dtype not in TYPES:
        raise ForeignFileError(
            f"{file.path}: the input must be one of {', '.join(TYPES)}, but it is {source}"
        )
    if parsed.dtype not in (None, source.dtype):
        raise ForeignFileError(f"{file.path}: --dtype {parsed.dtype}, but the input is {source}")
    if source.shape is None or len(source.shape) != 4:
        raise ForeignFileError(
            f"{file.path}: the input must have four axes (batch, channels, height, width, or "
            f"channels last), but it is {source}"
        )
    preset = PRESETS.get(parsed.preset)
    channels = parsed.channels or (preset.channels if preset else "rgb")
    dtype: Any = source.dtype
    normalisation = (
        _no_normalisation(file, parsed) if dtype == "uint8" else _normalisation(file, parsed)
    )
    return Preprocessing(_layout(file, parsed.layout), channels, dtype, normalisation)


def _layout(file: ForeignFile, wanted: Layout | None) -> Layout:
    assert file.input.shape is not None
    axes: dict[Layout, int] = {"nchw": 1, "nhwc": 3}
    if wanted is not None:
        found = file.input.shape[axes[wanted]]
        if found not in (3, None):
            raise ForeignFileError(
                f"{file.path}: --layout {wanted} has its 3 channels on axis {axes[wanted]}, but "
                f"the input is {file.input}"
            )
        return wanted
    fitting: list[Layout] = [layout for layout, axis in axes.items() if file.input.shape[axis] == 3]
    if len(fitting) == 1:
        return fitting[0]
    if 3 not in file.input.shape[1:] and None not in file.input.shape[1:]:
        raise ForeignFileError(
            f"{file.path}: three colour channels are needed, but the input is {file.input}"
        )
    raise ForeignFileError(
        f"{file.path}: the input {file.input} does not say where its channels are; add "
        "--layout nchw or --layout nhwc"
    )


def _no_normalisation(file: ForeignFile, parsed: argparse.Namespace) -> Normalisation:
    given = (parsed.mean, parsed.std, parsed.range)
    if any(value is not None for value in given) or parsed.preset not in (None, "raw"):
        raise ForeignFileError(
            f"{file.path}: takes bytes as they are; leave --preset, --mean, --std and --range out"
        )
    return Normalisation()


def _normalisation(file: ForeignFile, parsed: argparse.Namespace) -> Normalisation:
    """What the flags say; numbers that could be meant two ways are refused."""
    given = (parsed.mean, parsed.std, parsed.range)
    if parsed.preset is not None:
        if any(value is not None for value in given):
            raise ForeignFileError("--preset stands for --mean, --std and --range: give it alone")
        return PRESETS[parsed.preset].normalisation
    if all(value is None for value in given):
        raise ForeignFileError(
            f"{file.path}: say which numbers it was trained on: --preset "
            f"{'|'.join(PRESETS)}, or --mean and --std; see docs/importing.md"
        )
    mean, std = parsed.mean or (0.0,), parsed.std or (1.0,)
    if parsed.range is None and max(map(abs, mean)) <= 1 and max(std) <= 1:
        raise ForeignFileError(
            "--mean and --std of 1 or less look like numbers for pixels from 0 to 1: add "
            "--range 0..1, or --range 0..255 if pixels are not divided by 255 first"
        )
    return Normalisation(mean, std, parsed.range or "0..255")


def geometry_of(file: ForeignFile, layout: Layout, parsed: argparse.Namespace) -> InputGeometry:
    """The pictures' size and the way to it.

    Raises:
        ForeignFileError: the size is open or contradicts the file, or the rule has no such option.
    """
    assert file.input.shape is not None
    fixed = file.input.shape[2:] if layout == "nchw" else file.input.shape[1:3]
    wanted: tuple[int | None, ...] = parsed.size or (None, None)
    for length, asked in zip(fixed, wanted, strict=True):
        if length is not None and asked not in (None, length):
            raise ForeignFileError(
                f"{file.path}: --size asks for a height or width of {asked}, but the input is "
                f"{file.input}"
            )
    height, width = (a or b for a, b in zip(fixed, wanted, strict=True))
    if height is None or width is None:
        raise ForeignFileError(
            f"{file.path}: takes any size ({file.input}); add the one to use, as in --size 224"
        )
    crop = parsed.crop
    if crop is None:
        crop = CROP if parsed.resize == "shortest_side" else 1.0
    try:
        return InputGeometry(
            height=height,
            width=width,
            resize=parsed.resize,
            crop=crop,
            interpolation=parsed.interpolation,
            pad_value=parsed.pad_value,
        )
    except ValidationError as error:
        raise ForeignFileError(describe(error)) from error
