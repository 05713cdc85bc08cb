"""What an inference request may ask of a graph: what the manifest says, and what the task does.

A picture that comes in by our own routes is resized to what a graph takes. A tensor comes in as
it is, so all that resizing would see to is held against the manifest here, before any memory is
taken for it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import Manifest, TensorSpec, shape_of
from service.errors import RequestError
from service.protocols.oip_tensors import DATATYPES, open_shape
from service.tasks import caption, stylize


def check_tensor(spec: TensorSpec, manifest: Manifest, datatype: str, shape: Sequence[int]) -> None:
    """Hold an input's type and shape against the manifest.

    Raises:
        RequestError: names the input and what it should be.
    """
    wanted = open_shape(spec)
    told = f"{DATATYPES[spec.dtype]} of shape {wanted}"
    if datatype != DATATYPES[spec.dtype]:
        raise RequestError(f"input {spec.name!r} is {datatype[:64]}; the model takes {told}")
    if len(shape) != len(wanted) or any(
        has != length for has, length in zip(shape, wanted, strict=True) if length >= 0
    ):
        raise RequestError(f"input {spec.name!r} has shape {list(shape)}; the model takes {told}")
    if min(shape, default=1) < 1:
        raise RequestError(f"input {spec.name!r} has shape {list(shape)}: a length is less than 1")
    if is_picture(spec):
        _check_sides(spec, manifest, shape)


def is_picture(spec: TensorSpec) -> bool:
    """Whether an input is ``uint8[N,H,W,3]``, which may also come as encoded pictures."""
    return spec.dtype == "uint8" and len(spec.shape) == 4 and spec.shape[-1] == 3


def check_values(manifest: Manifest, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Hold against the task what a graph relies on.

    Raises:
        RequestError: names the input and the values it may have.
    """
    for name, (least, most) in _ranges(manifest).items():
        values = tensors[name]
        if not ((values >= least) & (values <= most)).all():  # nor NaN
            raise RequestError(f"input {name!r} has a value outside of {least} to {most}")
    for name, values in tensors.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise RequestError(f"input {name!r} has a value that is not finite")


def _ranges(manifest: Manifest) -> Mapping[str, tuple[float, float]]:
    if manifest.task == caption.NAME:
        words = shape_of(manifest, "main", "tokens")[-1]
        return {"max_length": (1, words)} if isinstance(words, int) else {}
    if manifest.task == stylize.NAME:
        return {"alpha": (0, 1)}
    return {}


def _check_sides(spec: TensorSpec, manifest: Manifest, shape: Sequence[int]) -> None:
    """Sides that the model leaves open: within its input, and multiples of what it asks for."""
    geometry = manifest.input
    least = stylize.LEAST_SIDE if manifest.task == stylize.NAME else 1
    step = geometry.multiple
    least = math.ceil(least / step) * step
    for length, has, most in zip(
        spec.shape[1:3], shape[1:3], (geometry.height, geometry.width), strict=True
    ):
        if isinstance(length, str) and (not least <= has <= max(most, least) or has % step):
            raise RequestError(
                f"input {spec.name!r} has shape {list(shape)}; its {length} is from {least} to "
                f"{max(most, least)}, in steps of {step}"
            )
