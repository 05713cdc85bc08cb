"""A large answer on its way: in pieces, within the budget, and given up where nobody reads it."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from service.delivery import PIECE, Delivery
from service.errors import BusyError
from service.task import Timing
from service.telemetry import Meter, Telemetry
from service.uploads import BodyBudget

FAR = 60.0
"""Seconds no test takes."""
TIMING = Timing(decode=1, queue=2, run=3, total=4)
SIZES = (1, PIECE, PIECE + 1, 3 * PIECE)


class Delivered:
    """A delivery to a client that the test plays."""

    def __init__(self, size: int, room: int = 1 << 30, timeout_s: float = FAR) -> None:
        self.data = bytes(range(251)) * (size // 251 + 1)
        self.data = self.data[:size]
        self.budget = BodyBudget(room)
        self.meter: Meter = Telemetry().meter("detect", "boxes")
        self.messages: list[Message] = []
        self.held: list[int] = []
        """Bytes in the budget when each message was sent."""
        self.response = Delivery(self.data, "image/png", self.budget, self.meter, timeout_s, TIMING)

    async def to(self, client: Send) -> None:
        async def send(message: Message) -> None:
            self.messages.append(message)
            self.held.append(self.budget.held)
            await client(message)

        await asyncio.wait_for(self.response({"type": "http"}, _receive, send), FAR)

    @property
    def pieces(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]


async def _receive() -> Message:
    raise AssertionError("nothing is left to receive")


async def read_all(_: Message) -> None:
    """Read as soon as it is sent."""


@pytest.mark.parametrize("size", SIZES)
async def test_a_picture_is_sent_whole_and_in_pieces(size: int) -> None:
    sent = Delivered(size)
    await sent.to(read_all)
    start = sent.messages[0]
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert {
        (b"content-type", b"image/png"),
        (b"content-length", str(size).encode()),
        (b"server-timing", b"decode;dur=1.0, queue;dur=2.0, run;dur=3.0, total;dur=4.0"),
    } <= set(start["headers"])
    assert b"".join(sent.pieces) == sent.data
    assert all(type(piece) is bytes and len(piece) <= PIECE for piece in sent.pieces)
    more = [message["more_body"] for message in sent.messages[1:]]
    assert more == [True] * (len(sent.pieces) - 1) + [False]


@pytest.mark.parametrize("size", SIZES)
async def test_a_picture_is_in_the_budget_until_it_is_sent(size: int) -> None:
    sent = Delivered(size, room=size)
    await sent.to(read_all)
    assert sent.held == [size] * len(sent.messages)
    assert sent.budget.held == 0


async def test_a_picture_without_room_is_refused_before_anything_is_sent() -> None:
    sent = Delivered(1000, room=999)
    with pytest.raises(BusyError):
        await sent.to(read_all)
    assert sent.messages == []
    assert sent.budget.held == 0
    assert sent.meter.rejected._value.get() == 1


@pytest.mark.parametrize("read", [0, 1, 2])
async def test_a_client_that_stops_reading_is_given_up(read: int) -> None:
    sent = Delivered(5 * PIECE, timeout_s=0.05)

    async def stop(_: Message) -> None:
        if len(sent.messages) > read:
            await asyncio.Event().wait()

    await sent.to(stop)
    assert len(sent.messages) == read + 1
    assert sent.budget.held == 0
    assert sent.meter.cancelled._value.get() == 1


async def test_a_delivery_cut_off_leaves_nothing_held() -> None:
    sent = Delivered(5 * PIECE)
    reached = asyncio.Event()

    async def stop(_: Message) -> None:
        reached.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(sent.to(stop))
    await asyncio.wait_for(reached.wait(), FAR)
    assert sent.budget.held == 5 * PIECE
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert sent.budget.held == 0


async def test_a_client_that_reads_at_once_does_not_keep_the_event_loop_from_others() -> None:
    sent = Delivered(20 * PIECE)
    at_turn = list[int]()

    async def others() -> None:
        while len(sent.pieces) < 20:
            at_turn.append(len(sent.pieces))
            await asyncio.sleep(0)

    await asyncio.gather(sent.to(read_all), others())
    assert set(at_turn) >= set(range(1, 20))


async def test_a_server_holds_little_of_a_picture_that_nobody_reads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = Delivered(64 << 20, timeout_s=0.3)
    ended = asyncio.Event()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await sent.to(send)
        ended.set()

    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    reader, writer = await _connect(listening)
    try:
        writer.write(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
        await asyncio.wait_for(ended.wait(), FAR)
        assert sum(map(len, sent.pieces)) < len(sent.data) // 2
        assert sent.budget.held == 0
        rest = b""
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        while some := await asyncio.wait_for(reader.read(1 << 20), FAR):  # up to the hang-up
            rest += some
        head, _, body = rest.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert sent.data.startswith(body)
        assert len(body) < len(sent.data)
    finally:
        writer.transport.abort()
        server.should_exit = True
        await serving


async def _connect(listening: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that reads nothing before it is told to."""
    host, port = listening.getsockname()
    reader, writer = await asyncio.open_connection(host, port, limit=1)
    transport: Any = writer.transport
    transport.pause_reading()
    return reader, writer
