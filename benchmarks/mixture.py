"""Requests of every kind, and what came of them."""

import asyncio
import json
import statistics
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import quote
from urllib.request import urlopen

from benchmarks.load import BOUNDARY, multipart
from service.bench import photograph
from service.contract import read_manifest
from service.registry import model_folders
from service.settings import Settings

_CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request: its name in the report and its bytes."""

    name: str
    data: bytes


@dataclass(slots=True)
class Seen:
    """What came of all requests of one name: latencies of those answered 200, and statuses."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def percentile(self, percent: int) -> float:
        """Of the latencies, in milliseconds."""
        if len(self.latencies_ms) < 2:
            return float("nan")
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


def calls_of(port: int) -> list[Call]:
    """A request to the default model of every task, drawn answers among them, and to the edge.

    The service must be there: it is asked which styles it knows.
    """
    folder = Settings().models
    tasks = {read_manifest(each).task for each in model_folders(folder)}
    small, large = photograph(640, 480), photograph(1600, 1200)
    given = [
        ("classify", "/classify", multipart(small), "*/*"),
        ("classify, large", "/classify", multipart(large), "*/*"),
        ("detect", "/detect", multipart(small), "*/*"),
        ("detect, drawn", "/detect", multipart(small), "image/jpeg"),
        ("segment", "/segment", multipart(small), "*/*"),
        ("segment, mask", "/segment", multipart(small), "image/png"),
        ("caption", "/caption", multipart(small), "*/*"),
    ]
    calls = [
        Call(name, request(port, "POST", path, body, accept))
        for name, path, body, accept in given
        if path.removeprefix("/") in tasks
    ]
    if "stylize" in tasks:
        with urlopen(f"http://127.0.0.1:{port}/styles") as answer:
            style = json.load(answer)[0]["name"]
        sent = request(
            port, "POST", f"/stylize?style={quote(style)}&max_side=256", multipart(small)
        )
        calls.append(Call("stylize", sent))
    return [
        *calls,
        Call("metrics", request(port, "GET", "/metrics")),
        Call("models", request(port, "GET", "/models")),
    ]


def request(port: int, method: str, path: str, body: bytes = b"", accept: str = "*/*") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {accept}\r\n"
    if body:
        head += f"Content-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def read_answer(reader: asyncio.StreamReader) -> int:
    """Read one answer; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.split(b":")[1]))
            return int(head[9:12])
        if line.startswith(b"transfer-encoding:"):
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
            return int(head[9:12])
    return int(head[9:12])
