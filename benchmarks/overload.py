"""An open loop: requests arrive at a fixed rate whatever the server does with them."""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

from benchmarks.load import BOUNDARY


@dataclass(slots=True)
class Overload:
    """Latencies in milliseconds by status; ``-1`` stands for a broken connection."""

    latencies_ms: dict[int, list[float]] = field(default_factory=dict)

    def percentile(self, status: int, percent: int) -> float:
        """A percentile of one status's latencies."""
        values = self.latencies_ms.get(status, [])
        if len(values) < 2:
            return float("nan")
        return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]

    def count(self, status: int) -> int:
        """How many answers had this status."""
        return len(self.latencies_ms.get(status, []))


class _Client(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, idle: list["_Client"], result: Overload) -> None:
        self._idle, self._result = idle, result
        self._buffer = bytearray()
        self._sent = 0.0
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def send(self, request: bytes) -> None:
        self._sent, self._busy = time.perf_counter(), True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not separator:
            return
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if len(rest) >= length:
            self._done(int(head[9:12]))
            self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._busy:
            self._done(-1)
        if self in self._idle:
            self._idle.remove(self)

    def _done(self, status: int) -> None:
        took = 1e3 * (time.perf_counter() - self._sent)
        self._result.latencies_ms.setdefault(status, []).append(took)
        self._busy = False
        self._buffer.clear()


def overload(host: str, port: int, path: str, body: bytes, rate: float, seconds: float) -> Overload:
    """Offer ``rate`` requests a second for ``seconds``; see Overload."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    return uvloop.run(_offer(host, port, head.encode() + body, rate, seconds))


async def _offer(host: str, port: int, request: bytes, rate: float, seconds: float) -> Overload:
    loop = asyncio.get_running_loop()
    result = Overload()
    idle: list[_Client] = []
    opened: list[_Client] = []

    async def connect() -> _Client:
        _, client = await loop.create_connection(lambda: _Client(idle, result), host, port)
        opened.append(client)
        return client

    idle.extend([await connect() for _ in range(64)])
    began = time.perf_counter()
    sent = 0
    while (now := time.perf_counter() - began) < seconds:
        while sent < now * rate:
            client = idle.pop() if idle else await connect()
            client.send(request)
            sent += 1
        await asyncio.sleep(0.002)
    while sum(map(len, result.latencies_ms.values())) < sent:
        await asyncio.sleep(0.01)
        if time.perf_counter() - began > seconds + 60:
            break
    for client in opened:
        client.transport.close()
    return result
