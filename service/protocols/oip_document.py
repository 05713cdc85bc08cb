"""The document of an Open Inference Protocol request, and the bytes that follow it."""

import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from service.contract import TensorSpec, describe
from service.errors import RequestError, TooLargeError, UnsupportedMediaError
from service.protocols.oip_tensors import DATATYPES

_MAX_TENSORS: Final = 64
_MAX_RANK: Final = 16

Text = Annotated[str, Field(max_length=256)]
Parameters = dict[Text, bool | int | float | str]


class InputTensor(BaseModel):
    """An input of a graph, or encoded pictures in its place."""

    name: Text
    datatype: Text
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=_MAX_RANK)]
    parameters: Parameters | None = None
    data: Any = Field(None, description="Flat or nested; none where the bytes follow the document.")


class RequestedOutput(BaseModel):
    """An output that is to be told, and how."""

    name: Text
    parameters: Parameters | None = None


class InferenceRequest(BaseModel):
    """The document of an inference request."""

    id: Text | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=_MAX_TENSORS)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=_MAX_TENSORS)] | None = None


def inflate(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body behind a ``Content-Encoding``.

    Raises:
        UnsupportedMediaError: it is none of gzip, deflate and identity.
        RequestError: the body is not encoded so.
        TooLargeError: it has more than ``max_bytes``.
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "deflate"):
        raise UnsupportedMediaError(
            f"Content-Encoding is {coding[:64]!r}; gzip, deflate and identity are read"
        )
    inflater = zlib.decompressobj(zlib.MAX_WBITS | (16 if coding == "gzip" else 0))
    try:
        inflated = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise RequestError(f"the body is not {coding} ({error})") from None
    if len(inflated) > max_bytes:
        raise TooLargeError(f"the body is larger than {max_bytes / (1 << 20):g} MiB when inflated")
    if not inflater.eof or inflater.unused_data:
        raise RequestError(f"the body is not {coding} (it ends early, or something follows it)")
    return inflated


def read_document(
    body: bytes, header_length: str | None, specs: Sequence[TensorSpec]
) -> tuple[InferenceRequest, list[memoryview | None]]:
    """Take a body apart.

    Args:
        body: without its Content-Encoding.
        header_length: of the document, as ``Inference-Header-Content-Length`` has it; without that
            header the document is all of the body, and with 0 the body is one item of the graph's
            only input.
        specs: the graph's inputs.

    Returns:
        The document and for each of its inputs the bytes, or None where it has the data itself.

    Raises:
        RequestError: it is malformed, or bytes are missing or left over.
    """
    if header_length == "0":
        document, length = _raw(len(body), specs), 0
    else:
        length = _length(header_length, len(body))
        document = _document(body[:length])
    return document, _sliced(document.inputs, memoryview(body)[length:])


def _length(header: str | None, whole: int) -> int:
    if header is None:
        return whole
    if not header.isascii() or not header.isdigit() or len(header) > 18 or int(header) > whole:
        raise RequestError(
            f"Inference-Header-Content-Length is {header[:64]!r}; it is the length of the JSON at "
            f"the start of the body, which has {whole} bytes"
        )
    return int(header)


def _document(text: bytes) -> InferenceRequest:
    try:
        return InferenceRequest.model_validate_json(text)
    except ValidationError as error:
        raise RequestError(f"the inference request is malformed: {describe(error)}") from None


def _raw(size: int, specs: Sequence[TensorSpec]) -> InferenceRequest:
    """A request of bytes alone: one item of the graph's only input."""
    fixed = all(isinstance(length, int) for length in specs[0].shape[1:])
    if len(specs) > 1 or not fixed:
        raise RequestError("the model takes no bytes alone; say in JSON what they are")
    spec = specs[0]
    tensor = {
        "name": spec.name,
        "datatype": DATATYPES[spec.dtype],
        "shape": [1, *spec.shape[1:]],
        "parameters": {"binary_data_size": size},
    }
    return InferenceRequest.model_validate(
        {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    )


def _sliced(inputs: Sequence[InputTensor], binary: memoryview) -> list[memoryview | None]:
    """Each input's own bytes; None for one that has its data in the document."""
    slices: list[memoryview | None] = []
    at = 0
    for tensor in inputs:
        parameters = tensor.parameters or {}
        if any(name.startswith("shared_memory") for name in parameters):
            raise RequestError(f"input {tensor.name!r}: there is no shared memory")
        size = parameters.get("binary_data_size")
        if size is None:
            slices.append(None)
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary) - at:
            raise RequestError(
                f"input {tensor.name!r}: binary_data_size is {size!r:.64}, and "
                f"{len(binary) - at} bytes are left"
            )
        if tensor.data is not None:
            raise RequestError(f"input {tensor.name!r} has both data and binary_data_size")
        slices.append(binary[at : at + size])
        at += size
    if at != len(binary):
        raise RequestError(f"the body has {len(binary) - at} bytes that belong to no input")
    return slices
