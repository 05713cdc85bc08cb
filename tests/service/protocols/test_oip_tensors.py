"""Tensors of the Open Inference Protocol, from bytes and JSON and back."""

import json
import struct
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.contract import DType, TensorSpec
from service.errors import RequestError
from service.protocols.oip_tensors import (
    DATATYPES,
    datatype_of,
    from_bytes,
    from_json,
    open_shape,
    strings_from_bytes,
    strings_from_json,
    to_bytes,
    to_json,
)

NUMBERS: list[DType] = [dtype for dtype in get_args(DType) if dtype != "string"]


def spec(dtype: DType) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=("N", "K"))


@pytest.mark.parametrize("dtype", NUMBERS)
@settings(deadline=None)
@given(data=st.data())
def test_a_tensor_comes_back_from_its_bytes_and_from_json(dtype: DType, data: Any) -> None:
    finite: Any = {"allow_nan": False, "allow_infinity": False} if dtype[0] == "f" else {}
    tensor = data.draw(
        arrays.arrays(
            np.dtype(dtype),
            arrays.array_shapes(min_dims=1, max_dims=4, max_side=4),
            elements=arrays.from_dtype(np.dtype(dtype), **finite),
        )
    )
    odd = memoryview(b"_" + to_bytes(tensor))[1:]  # as it lies behind a document
    read = from_bytes(odd, spec(dtype), tensor.shape)
    assert read.dtype == tensor.dtype
    assert read.flags.aligned
    np.testing.assert_array_equal(read, tensor)
    text = json.dumps(to_json(tensor), allow_nan=False)
    np.testing.assert_array_equal(from_json(json.loads(text), spec(dtype), tensor.shape), tensor)
    np.testing.assert_array_equal(from_json(tensor.tolist(), spec(dtype), tensor.shape), tensor)
    assert datatype_of(tensor) == DATATYPES[dtype]


def test_what_json_has_no_number_for_is_none() -> None:
    tensor = np.array([1.5, np.nan, np.inf, -np.inf], np.float32)
    assert to_json(tensor) == [1.5, None, None, None]


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("uint8", [1, 256]),
        ("uint8", [1, -1]),
        ("uint8", [1, 1.5]),
        ("uint8", ["1", "2"]),
        ("int64", [1 << 63, 0]),
        ("float32", ["1", "2"]),
        ("float32", [None, 1]),
        ("float32", [{}, []]),
        ("float32", [10**400, 1]),
        ("bool", [2, 0]),
        ("bool", [-1, 0]),
        ("float32", [[1], 2]),
        ("float32", [1]),
        ("float32", [1, 2, 3]),
        ("float32", [[1, 2], [3]]),
        ("float32", "ab"),
        ("float32", {"a": 1}),
        ("float32", 3),
        ("float32", None),
        ("uint8", ["a" * 1000, "b"]),
    ],
)
def test_json_of_another_type_or_number_is_refused(dtype: DType, data: Any) -> None:
    with pytest.raises(RequestError, match="input 'x'"):
        from_json(data, spec(dtype), (1, 2))


def test_bytes_of_another_number_are_refused() -> None:
    with pytest.raises(RequestError, match=r"has 7 bytes; FP32 of shape \[1, 2\] has 8"):
        from_bytes(memoryview(bytes(7)), spec("float32"), (1, 2))
    with pytest.raises(RequestError, match="a BOOL is 0 or 1, not 2"):
        from_bytes(memoryview(b"\1\2"), spec("bool"), (1, 2))


def test_a_bool_is_told_as_such() -> None:
    assert from_json([True, 0], spec("bool"), (2,)).tolist() == [True, False]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=6))
def test_elements_of_bytes_come_back(elements: list[bytes]) -> None:
    tensor = np.empty(len(elements), np.object_)
    tensor[:] = elements
    data = memoryview(to_bytes(tensor))
    assert [bytes(each) for each in strings_from_bytes(data, "x", len(elements))] == elements
    assert datatype_of(tensor) == "BYTES"


@pytest.mark.parametrize(
    "data",
    [
        b"\1\0\0",
        struct.pack("<I", 5) + b"abcd",
        struct.pack("<I", 0xFFFFFFFF),
        struct.pack("<I", 1) + b"a",
        struct.pack("<I", 1) + b"a" + struct.pack("<I", 0) * 2,
        b"",
    ],
)
def test_damaged_elements_of_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RequestError, match="input 'x'"):
        strings_from_bytes(memoryview(data), "x", 2)


@pytest.mark.parametrize("data", [["a"], ["a", 1], "ab", None, [["a"], "b"]])
def test_other_json_than_strings_is_refused(data: Any) -> None:
    with pytest.raises(RequestError, match="input 'x'"):
        strings_from_json(data, "x", 2)


def test_lengths_that_the_caller_chooses_are_told_as_open() -> None:
    shape = ("N", "H", 5)
    assert open_shape(TensorSpec(name="x", dtype="uint8", shape=shape)) == [-1, -1, 5]
