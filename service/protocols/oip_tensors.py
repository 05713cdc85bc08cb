"""Tensors of the Open Inference Protocol: their names for types, and their bytes and numbers."""

import itertools
import math
import struct
from array import array
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.contract import DType, TensorSpec
from service.errors import RequestError

DATATYPES: Final[dict[DType, str]] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "string": "BYTES",
}
#: What holds numbers of JSON in so many bytes and refuses others, by the type of a tensor.
_TYPECODES: Final = {
    "bool": "B",
    "uint8": "B",
    "int8": "b",
    "int32": "i",
    "int64": "q",
    "float16": "f",
    "float32": "f",
}
_LENGTH = struct.Struct("<I")


def open_shape(spec: TensorSpec) -> list[int]:
    """A tensor's shape with -1 for every length that the caller chooses."""
    return [length if isinstance(length, int) else -1 for length in spec.shape]


def from_bytes(data: memoryview, spec: TensorSpec, shape: Sequence[int]) -> NDArray[Any]:
    """A tensor of bytes, row by row in little-endian order; it shares their memory if it can.

    Args:
        data: of the tensor alone.
        spec: what the graph takes; not of strings.
        shape: that has been held against ``spec``.

    Raises:
        RequestError: there are more or fewer bytes than the shape needs, or a bool is neither 0
            nor 1.
    """
    dtype = np.dtype(spec.dtype)
    needed = math.prod(shape) * dtype.itemsize
    if len(data) != needed:
        raise RequestError(
            f"input {spec.name!r} has {len(data)} bytes; {DATATYPES[spec.dtype]} of shape "
            f"{list(shape)} has {needed}"
        )
    raw = np.frombuffer(data, np.uint8)
    if spec.dtype == "bool" and raw.size and raw.max() > 1:
        raise RequestError(f"input {spec.name!r}: a BOOL is 0 or 1, not {raw.max()}")
    little = np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
    return np.require(little.astype(dtype, copy=False), requirements="A")


def from_json(data: Any, spec: TensorSpec, shape: Sequence[int]) -> NDArray[Any]:
    """A tensor of JSON numbers, nested as its shape is or flat.

    Args:
        data: what the document has for it.
        spec: what the graph takes; not of strings.
        shape: that has been held against ``spec``.

    Raises:
        RequestError: there are more or fewer numbers than the shape needs, or one is not of the
            tensor's type.
    """
    where = f"input {spec.name!r}: data"
    values = _flat(data, where)
    if len(values) != math.prod(shape):
        raise RequestError(
            f"{where} has {len(values)} elements; shape {list(shape)} has {math.prod(shape)}"
        )
    try:
        numbers = array(_TYPECODES[spec.dtype], values)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"{where} is not {DATATYPES[spec.dtype]}: {error}") from None
    flat = np.frombuffer(numbers, np.dtype(numbers.typecode)) if numbers else np.empty(0)
    if spec.dtype == "bool" and flat.size and flat.max() > 1:
        raise RequestError(f"{where} is not BOOL: true and false, or 1 and 0")
    with np.errstate(over="ignore"):
        return flat.astype(spec.dtype, copy=False).reshape(shape)


def strings_from_bytes(data: memoryview, name: str, count: int) -> list[memoryview]:
    """The elements of a tensor of BYTES, each after its length in 4 bytes.

    Raises:
        RequestError: there are more or fewer than ``count``, or the last is cut off.
    """
    elements: list[memoryview] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH.size
        if len(elements) == count or start > len(data):
            raise RequestError(f"input {name!r}: its bytes are not {count} elements of BYTES")
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise RequestError(f"input {name!r}: element {len(elements)} of BYTES is cut off")
        elements.append(data[start:at])
    if len(elements) != count:
        raise RequestError(f"input {name!r} has {len(elements)} elements of BYTES, not {count}")
    return elements


def strings_from_json(data: Any, name: str, count: int) -> list[str]:
    """The elements of a tensor of BYTES in JSON.

    Raises:
        RequestError: they are not ``count`` strings.
    """
    values = _flat(data, f"input {name!r}: data")
    if len(values) != count or not all(isinstance(value, str) for value in values):
        raise RequestError(f"input {name!r}: data is not {count} strings")
    return values


def to_bytes(tensor: NDArray[Any]) -> bytes:
    """A tensor as bytes; one of objects as BYTES."""
    if tensor.dtype != np.object_:
        return tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(part for text in tensor.ravel() for part in (_LENGTH.pack(len(text)), text))


def to_json(tensor: NDArray[Any]) -> list[Any]:
    """A tensor as a flat list for JSON, which has no number that is not finite: None."""
    if tensor.dtype == np.object_:
        return [text.decode() for text in tensor.ravel()]
    flat = tensor.ravel()
    if tensor.dtype.kind == "f" and not np.isfinite(flat).all():
        return [value if math.isfinite(value) else None for value in flat.tolist()]
    values: list[Any] = flat.tolist()
    return values


def datatype_of(tensor: NDArray[Any]) -> str:
    """The protocol's name for a tensor's type."""
    dtypes = {np.dtype(dtype): name for dtype, name in DATATYPES.items() if dtype != "string"}
    return dtypes.get(tensor.dtype, "BYTES")


def _flat(data: Any, where: str) -> list[Any]:
    """The elements of lists in lists, row by row."""
    while isinstance(data, list) and data and isinstance(data[0], list):
        if not all(isinstance(row, list) for row in data):
            raise RequestError(f"{where} has lists beside elements")
        data = list(itertools.chain.from_iterable(data))
    if not isinstance(data, list):
        raise RequestError(f"{where} is not a list")
    return data
