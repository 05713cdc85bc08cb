"""Raw bytes against uvicorn with the bounded protocol."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from asgi import FAR, until
from starlette.types import Receive, Scope, Send

from service.protocol import MAX_URL, BoundedProtocol

MAX_HEAD = 32 << 10
OK = b"HTTP/1.1 200 OK"


class Answering:
    """An application that reads bodies, and waits for a test where it is asked to."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append((scope["path"], body))
        if scope["path"] == "/wait":
            await self.go.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


class Connection:
    """A client that sends bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next response."""
        async with asyncio.timeout(FAR):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self._reader.readexactly(int(headers["content-length"]))
            return int(status.split()[1]), headers, body

    async def problem(self) -> dict[str, Any]:
        status, headers, body = await self.answer()
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        found: dict[str, Any] = json.loads(body)
        assert found["status"] == status
        assert found["detail"]
        return found

    async def is_closed(self) -> bool:
        """Wait until the server has closed, and see that nothing more came."""
        async with asyncio.timeout(FAR):
            return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


class Served:
    """A server on a free port, and clients of it."""

    def __init__(self, application: Answering, server: uvicorn.Server) -> None:
        self.application, self.server = application, server
        self._clients: list[Connection] = []

    async def connect(self) -> Connection:
        port = self.server.servers[0].sockets[0].getsockname()[1]
        client = Connection(*await asyncio.open_connection("127.0.0.1", port))
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()


Serving = Callable[..., AbstractAsyncContextManager[Served]]


@asynccontextmanager
async def serving(head_timeout_s: float = FAR, **more: Any) -> AsyncIterator[Served]:
    application = Answering()
    protocol = partial(BoundedProtocol, max_head_bytes=MAX_HEAD, head_timeout_s=head_timeout_s)
    config = uvicorn.Config(
        application,
        port=0,
        http=protocol,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        **more,
    )
    server = uvicorn.Server(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "capture_signals", lambda: _nothing())
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        served = Served(application, server)
        try:
            yield served
        finally:
            application.go.set()
            served.close()
            server.should_exit = True
            await task


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def head(*headers: str, path: str = "/", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: test", *headers, "", ""]).encode()


async def test_requests_one_after_the_other_and_at_once_are_answered_in_order() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(head(path="/a"))
        assert (await client.answer())[0] == 200
        post = head("content-length: 3", path="/b", method="POST") + b"abc"
        await client.send(post + head(path="/c") + head(path="/d")[:10])
        assert (await client.answer())[0] == 200
        assert (await client.answer())[0] == 200
        await client.send(head(path="/d")[10:])
        assert (await client.answer())[0] == 200
        paths = [("/a", b""), ("/b", b"abc"), ("/c", b""), ("/d", b"")]
        assert served.application.requests == paths


async def test_a_head_up_to_the_limit_is_taken() -> None:
    async with serving() as served:
        client = await served.connect()
        for _ in range(2):
            await client.send(head("x: " + "y" * (MAX_HEAD - 100)))
            assert (await client.answer())[0] == 200
        await client.send(head(path="/" + "p" * (MAX_URL - 1)))
        assert (await client.answer())[0] == 200


async def test_a_large_body_is_no_part_of_the_head() -> None:
    async with serving() as served:
        client = await served.connect()
        body = b"z" * (10 * MAX_HEAD)
        for _ in range(2):
            await client.send(head(f"content-length: {len(body)}", method="POST") + body)
            assert (await client.answer())[0] == 200
        assert served.application.requests == [("/", body)] * 2


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head("x: " + "y" * MAX_HEAD), 431),
        (head(*(f"x-{n}: {'y' * 100}" for n in range(400))), 431),
        (head("y" * MAX_HEAD + ": x"), 431),
        (head(path="/" + "p" * MAX_URL), 414),
        (head(path="/?" + "p" * MAX_HEAD), 414),
    ],
)
@pytest.mark.parametrize("piece", [1 << 20, 1000])
async def test_a_head_over_the_limit_is_refused(sent: bytes, status: int, piece: int) -> None:
    async with serving() as served:
        client = await served.connect()
        for start in range(0, len(sent), piece):
            await client.send(sent[start : start + piece])
        assert (await client.problem())["status"] == status
        assert await client.is_closed()
        assert served.application.requests == []


@pytest.mark.parametrize(
    ("begin", "status"),
    [(b"GET / HTTP/1.1\r\nx: ", 431), (b"GET / HTTP/1.1\r\n", 431), (b"GET /", 414)],
)
async def test_a_head_without_end_is_refused_though_the_client_goes_on(
    begin: bytes, status: int
) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(begin)
        for _ in range(2 * MAX_HEAD // 1000):
            await client.send(b"y" * 1000)
        assert (await client.problem())["status"] == status
        await client.send(b"y" * 1000)  # it does not know yet
        assert await client.is_closed()
        await until(lambda: not served.server.server_state.connections)


async def test_the_second_head_of_a_connection_is_bounded_too() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(head())
        assert (await client.answer())[0] == 200
        await client.send(head("x: " + "y" * MAX_HEAD))
        assert (await client.problem())["status"] == 431
        assert len(served.application.requests) == 1


async def test_a_pipelined_head_too_large_waits_for_the_answer_before_it() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(head(path="/wait"))
        await until(lambda: served.application.requests)
        await client.send(head("x: " + "y" * MAX_HEAD))
        served.application.go.set()
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\nhost: te", b"\r\n"])
async def test_a_head_that_does_not_come_in_time_is_refused(begin: bytes) -> None:
    async with serving(head_timeout_s=0.05) as served:
        client = await served.connect()
        await client.send(begin)
        assert (await client.problem())["status"] == 408
        assert await client.is_closed()


async def test_a_slow_drip_does_not_gain_time() -> None:
    async with serving(head_timeout_s=0.2) as served:
        client = await served.connect()
        await client.send(b"GET / HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                await client.send(b"x: y\r\n")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert (await client.problem())["status"] == 408
        dripping.cancel()


async def test_a_connection_without_a_request_is_closed_silently() -> None:
    async with serving(head_timeout_s=0.05) as served:
        client = await served.connect()
        assert await client.is_closed()


async def test_empty_lines_between_requests_keep_no_connection() -> None:
    async with serving(head_timeout_s=0.05) as served:
        client = await served.connect()
        await client.send(head())
        assert (await client.answer())[0] == 200
        await client.send(b"\r\n\r\n")
        assert (await client.problem())["status"] == 408


async def test_a_slow_answer_and_an_idle_connection_are_no_slow_head() -> None:
    async with serving(head_timeout_s=0.02) as served:
        client = await served.connect()
        await client.send(head(path="/wait") + b"GET")  # and the next one has begun
        await until(lambda: served.application.requests)
        await asyncio.sleep(0.1)
        served.application.go.set()
        assert (await client.answer())[0] == 200
        idle = await served.connect()
        await idle.send(head())
        assert (await idle.answer())[0] == 200
        await asyncio.sleep(0.1)
        await idle.send(head())
        assert (await idle.answer())[0] == 200


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 not the protocol\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"]
)
async def test_what_is_not_http_is_a_problem(sent: bytes) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(sent)
        assert (await client.problem())["status"] == 400
        assert await client.is_closed()


async def test_past_the_last_connection_the_answer_is_a_problem_and_the_others_go_on() -> None:
    async with serving(limit_concurrency=2) as served:
        first, second, third = [await served.connect() for _ in range(3)]
        await third.send(head())
        status, headers, body = await third.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert json.loads(body)["status"] == 503
        assert await third.is_closed()
        for client in (first, second):
            await client.send(head())
            assert (await client.answer())[0] == 200


async def test_a_client_that_leaves_in_its_head_leaves_nothing_behind() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET / HT")
        await until(lambda: served.server.server_state.connections)
        client.close()
        await until(lambda: not served.server.server_state.connections)
