"""Pictures out of a request: multipart, a raw image body, or base64 in JSON, under limits."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from service.errors import (
    BodyTimeoutError,
    BusyError,
    ClientGoneError,
    RequestError,
    TooLargeError,
    UnsupportedMediaError,
)

FIELD = "file"
_LARGE_BYTES = 1 << 20  # taking more than this apart would hold up the event loop
_DISPOSITION = re.compile(rb"\r\ncontent-disposition:[ \t]*form-data([^\r]*)", re.IGNORECASE)
# A parameter of a header, quoted or not; what stands in quotes is not looked into for others.
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))')
# Bytes a part's header may have.
_MAX_HEAD = 16_384
# How much of a stranger's name is shown.
_SHOWN = 64
_HOW = (
    "send multipart/form-data with a picture in the field {!r}, a raw body with Content-Type "
    'image/*, or application/json {{"image": "<base64>"}}'
).format


Take = Callable[[int], None]
"""Accounts for bytes that have just arrived; raises BusyError when there is no room for them."""


class BodyBudget:
    """Bounds the memory of all bodies together.

    Requests' count from their first byte to their answer, large answers until they are sent.

    Counting bytes rather than bodies leaves nothing to hold for a client that sends slowly.
    Used from the event loop only, so it needs no lock.
    """

    def __init__(self, max_bytes: int) -> None:
        """Nothing is held yet."""
        self.max_bytes, self.held = max_bytes, 0

    @contextmanager
    def body(self) -> Iterator[Take]:
        """Account for one body while the block runs.

        Yields:
            Call it with the length of every chunk; it raises BusyError past the bound.
        """
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            if self.held + count > self.max_bytes:
                raise BusyError("too many bytes are being received or sent; try again later")
            self.held += count
            mine += count

        try:
            yield take
        finally:
            self.held -= mine


def _unbounded(_: int) -> None:
    """Take any number of bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body: the form field's name and the bytes sent for it."""

    name: str
    data: bytes


async def read_parts(
    request: Request,
    *,
    fields: Sequence[str] = (FIELD,),
    max_bytes: int,
    max_files: int,
    timeout_s: float,
    take: Take = _unbounded,
) -> list[Part]:
    """Read the encoded pictures of a request, in order; at least one.

    Args:
        request: whose body has not been read.
        fields: of a form that pictures can be in; the first stands for a body without a form.
        max_bytes: of the body.
        max_files: pictures, of all fields together.
        timeout_s: seconds the body may take to arrive.
        take: is told of every chunk.

    Raises:
        RequestError: the body is malformed, empty or holds something else.
        BodyTimeoutError: it did not arrive within ``timeout_s`` seconds.
        BusyError: ``take`` had no room for it.
        TooLargeError: more than ``max_bytes`` or ``max_files``.
        UnsupportedMediaError: none of the three forms.
        ClientGoneError: the client left before the body was complete.
    """
    header = request.headers.get("content-type", "")
    media_type = header.partition(";")[0].strip().lower()
    if media_type not in ("multipart/form-data", "application/json") and not _is_raw(media_type):
        raise UnsupportedMediaError(f"Content-Type is {media_type or 'missing'}; {_HOW(fields[0])}")
    body = await read_body(request, max_bytes=max_bytes, timeout_s=timeout_s, take=take)
    if not body:
        raise RequestError(f"the body is empty; {_HOW(fields[0])}")
    unpack = partial(_unpack, body, media_type, header, fields, max_files)
    parts = unpack() if len(body) < _LARGE_BYTES else await asyncio.to_thread(unpack)
    if not all(part.data for part in parts):
        raise RequestError("a picture is empty (0 bytes)")
    return parts


def _unpack(
    body: bytes, media_type: str, content_type: str, fields: Sequence[str], max_files: int
) -> list[Part]:
    if media_type == "multipart/form-data":
        boundary = _parameter(content_type.encode("latin-1"), b"boundary")
        return _pictures_of_form(body, boundary, fields, max_files)
    return [Part(fields[0], _image_of_json(body) if media_type == "application/json" else body)]


async def read_body(
    request: Request, *, max_bytes: int, timeout_s: float, take: Take = _unbounded
) -> bytes:
    """Read a whole body, refusing one that announces or sends more than ``max_bytes``."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > max_bytes):
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    received = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > max_bytes:
                    raise _too_large(max_bytes)
                take(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTimeoutError(f"the body did not arrive within {timeout_s:g} s") from None
    except ClientDisconnect:
        raise ClientGoneError("the client left before the body was complete") from None
    return b"".join(chunks)


def parse_form(body: bytes, boundary: bytes, max_parts: int) -> list[Part]:
    """Take a whole multipart body apart (RFC 7578, RFC 2046 section 5.1).

    The body is in memory already, so it is split at its delimiters in one sweep; a streaming
    parser costs more than everything else between the socket and the decoder.

    Raises:
        RequestError: it is malformed.
        TooLargeError: it has more than ``max_parts`` parts.
    """
    _, *segments = (b"\r\n" + body).split(b"\r\n--" + boundary, max_parts + 1)
    parts: list[Part] = []
    for segment in segments:
        if segment.startswith(b"--"):
            return parts
        if len(parts) == max_parts:
            raise TooLargeError(f"the form has more than {max_parts} parts")
        end = segment.find(b"\r\n\r\n", 0, _MAX_HEAD)
        padding, _, head = segment[: max(end, 0)].partition(b"\r\n")
        if end < 0 or padding.strip(b" \t"):
            raise RequestError("the multipart body is malformed: a part has no header")
        parts.append(Part(_field_name(b"\r\n" + head), segment[end + 4 :]))
    raise RequestError("the multipart body ends before its closing boundary")


def boundary_of(content_type: str) -> bytes | None:
    """What separates the parts of a form; None if the media type is not that of a form."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    return _parameter(content_type.encode("latin-1"), b"boundary") or None


def _field_name(head: bytes) -> str:
    disposition = _DISPOSITION.search(head)
    name = _parameter(disposition[1], b"name") if disposition else None
    if name is None:
        raise RequestError("the multipart body is malformed: a part has no field name")
    return name.decode("utf-8", "replace")


def _parameter(header: bytes, wanted: bytes) -> bytes | None:
    """The value of a header's parameter, None if it has none of that name."""
    for found in _PARAMETER.finditer(header):
        if found[1].lower() == wanted:
            value: bytes = found[2] or found[3] or b""
            return value
    return None


def _is_raw(media_type: str) -> bool:
    return media_type.startswith("image/") or media_type == "application/octet-stream"


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {max_bytes / (1 << 20):g} MiB")


def _pictures_of_form(
    body: bytes, boundary: bytes | None, fields: Sequence[str], max_files: int
) -> list[Part]:
    if not boundary:
        raise RequestError("Content-Type multipart/form-data has no boundary")
    parts = parse_form(body, boundary, max_files)
    strangers = sorted({part.name for part in parts} - set(fields))
    if strangers:
        raise RequestError(
            f"unknown form field {strangers[0][:_SHOWN]!r}: pictures go in "
            f"{' or '.join(map(repr, fields))}, parameters in the query string (?name=value)"
        )
    if not parts:
        raise RequestError(f"the form has no field {fields[0]!r}")
    return parts


def _image_of_json(body: bytes) -> bytes:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("image"), str):
        raise RequestError('the JSON body must be {"image": "<base64>"}')
    strangers = sorted(document.keys() - {"image"})
    if strangers:
        raise RequestError(
            f"unknown JSON field {strangers[0][:_SHOWN]!r}: the picture goes in 'image', "
            "parameters in the query string (?name=value)"
        )
    return from_base64(document["image"], "'image'")


def from_base64(text: str, what: str) -> bytes:
    """The bytes behind base64 text or a ``data:`` URL.

    Raises:
        RequestError: it is not base64; says ``what`` it is of.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{what} is not base64 ({error})") from error
