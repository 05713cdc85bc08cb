"""Messages between the supervisor and a worker, over a socket that both have inherited.

Both ends are our own processes and the socket has no address, so messages are pickled.
"""

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Literal

from prometheus_client import Metric

from service.errors import SightlineError
from service.findings import Findings
from service.group import Change
from service.settings import Settings

#: Exit status of a worker that would fail in the same way again, as for a missing device.
UNUSABLE = 78
_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Assignment:
    """The supervisor's first message: what the worker is to be.

    Attributes:
        settings: its share of the service's.
        is_early: it accepts connections while its models are loading, to answer liveness.
        findings: of workers before it.
        without: names of models that are in the folder, but were unloaded.
    """

    settings: Settings
    is_early: bool
    findings: Findings
    without: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sign:
    """A message that says all by its name.

    Attributes:
        of: ``life``, from a worker whose event loop turns; ``accepting``, from a worker;
            ``accept``, from the supervisor.
    """

    of: Literal["life", "accepting", "accept"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker's models are loaded; what it found out about them."""

    findings: Findings


@dataclass(frozen=True, slots=True)
class Collect:
    """The supervisor asks for a worker's metrics."""

    number: int


@dataclass(frozen=True, slots=True)
class Collected:
    """A worker's metrics; ``number`` of the Collect it answers, or 0 if it was not asked."""

    number: int
    metrics: list[Metric]


@dataclass(frozen=True, slots=True)
class Scrape:
    """A worker asks for all workers' metrics."""

    number: int


@dataclass(frozen=True, slots=True)
class Scraped:
    """All workers' metrics; ``number`` of the Scrape it answers."""

    number: int
    metrics: list[Metric]


@dataclass(frozen=True, slots=True)
class Order:
    """A worker asks the supervisor for a change in all workers, or the supervisor asks a worker.

    Attributes:
        number: chosen by who asks.
        change: to be made.
    """

    number: int
    change: Change


@dataclass(frozen=True, slots=True)
class Done:
    """An order is carried out, or has failed.

    Attributes:
        number: of the Order it answers.
        failure: of the error tree, without its cause; None if all went well.
    """

    number: int
    failure: SightlineError | None


Message = Assignment | Sign | Loaded | Collect | Collected | Scrape | Scraped | Order | Done


class Channel:
    """One end; used in one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """See over."""
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """The channel over one end of a pair of sockets."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Send without waiting; harmless if the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(framed(message))

    async def flush(self, patience_s: float) -> None:
        """Wait, for a while, until everything is sent."""
        try:
            async with asyncio.timeout(patience_s):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            pass

    async def receive(self) -> Message | None:
        """The next message; None once the other end is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return _read(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Send no more."""
        self._writer.close()


def framed(message: Message) -> bytes:
    """A message as it is sent."""
    pickled = pickle.dumps(message)
    return _LENGTH.pack(len(pickled)) + pickled


def receive_first(end: socket.socket) -> Message:
    """The first message, without an event loop; raises EOFError if the other end is gone."""
    (length,) = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    return _read(_exactly(end, length))


def _exactly(end: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        piece = end.recv(count - len(got))
        if not piece:
            raise EOFError
        got += piece
    return got


def _read(pickled: bytes) -> Message:
    message: Message = pickle.loads(pickled)
    return message
