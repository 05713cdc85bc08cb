"""Clients that mean no good, or do not know better: what they cost must not last."""

import io
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fabricate import Tiny
from live_server import FAR, Server, until
from PIL import Image

from service.connection import TOLD

pytestmark = pytest.mark.live

MIB = 1 << 20
MAX_CONNECTIONS = 100
HEAD = b"POST /classify HTTP/1.1\r\nhost: test\r\ncontent-type: image/png\r\n"


class Victim(Server):
    """A server that is asked how it is without a request."""

    @property
    def files(self) -> int:
        """How many files and connections it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    models = tmp_path_factory.mktemp("models")
    Tiny(work=60).write(models)
    limits = ("--max-connections", str(MAX_CONNECTIONS), "--queue-size", "64")
    timeouts = ("--head-timeout-s", "1", "--body-timeout-s", "1")
    with Victim(models, *limits, *timeouts) as running:
        running.wait_until_ready()
        assert classify(running) == 200
        yield running
        assert running.stop() == 0
        assert not [line for line in running.log if "Traceback" in line]


@pytest.fixture
def victim(one: Victim) -> Iterator[Victim]:
    """The server, which afterwards is as it was before."""
    until(lambda: one.metric("in_flight") == 0)
    files, resident = one.files, one.resident_bytes
    yield one
    until(lambda: one.files <= files)
    until(lambda: one.metric("in_flight") == 0)
    assert one.metric("queued") == 0
    assert one.resident_bytes - resident < 24 * MIB
    assert classify(one) == 200


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def classify(server: Server) -> int:
    """The status a well-behaved client gets."""
    connection = server.connect()
    connection.request("POST", "/classify", picture(), {"content-type": "image/png"})
    status = connection.getresponse().status
    connection.close()
    return status


def connections(stack: ExitStack, server: Server, count: int) -> list[socket.socket]:
    return [
        stack.enter_context(socket.create_connection(("127.0.0.1", server.port), FAR))
        for _ in range(count)
    ]


def is_closed(client: socket.socket) -> bool:
    """Whether the server has closed a connection; what it said before is read."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def all_closed(clients: list[socket.socket]) -> None:
    until(lambda: all(map(is_closed, clients)))


def test_heads_that_come_byte_by_byte_are_waited_for_no_longer_than_others(
    victim: Victim,
) -> None:
    with ExitStack() as stack:
        clients = connections(stack, victim, 60)
        waiting = set(clients)
        for byte in HEAD * 1000:
            for client in list(waiting):
                if is_closed(client):
                    waiting.remove(client)
                else:
                    client.send(bytes([byte]))
            if not waiting:
                break
            time.sleep(0.05)
        assert not waiting


def test_empty_lines_before_a_request_are_no_way_to_stay(victim: Victim) -> None:
    with ExitStack() as stack:
        (client,) = connections(stack, victim, 1)
        for _ in range(1000):
            if is_closed(client):
                break
            client.send(b"\r\n")
            time.sleep(0.05)
        assert is_closed(client)


def test_idle_connections_are_closed_whether_they_ever_asked_or_not(victim: Victim) -> None:
    with ExitStack() as stack:
        silent = connections(stack, victim, MAX_CONNECTIONS - 10)
        assert classify(victim) == 200
        all_closed(silent)


def test_a_client_that_asked_may_stay_silent_longer_than_a_new_one(victim: Victim) -> None:
    connection = victim.connect()
    for _ in range(2):
        connection.request("POST", "/classify", picture(), {"content-type": "image/png"})
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        kept = connection.sock
        time.sleep(1.5)  # past the time for a head
    assert kept is not None
    assert not is_closed(kept)
    connection.close()


def test_past_the_most_connections_files_stay_bounded_and_nobody_is_locked_out(
    victim: Victim,
) -> None:
    files = victim.files
    with ExitStack() as stack:
        crowd = connections(stack, victim, MAX_CONNECTIONS + TOLD + 400)
        until(lambda: sum(map(is_closed, crowd)) >= 400)
        assert victim.files <= files + MAX_CONNECTIONS + TOLD + 5
        all_closed(crowd)
    assert classify(victim) == 200


def test_half_sent_bodies_are_timed_out_and_hold_nothing(victim: Victim) -> None:
    with ExitStack() as stack:
        clients = connections(stack, victim, 60)
        for client in clients:
            client.sendall(HEAD + b"content-length: 500000\r\n\r\n" + b"x" * 250_000)
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 408"}
        all_closed(clients)


def test_a_body_that_was_refused_is_not_waited_for(victim: Victim) -> None:
    with ExitStack() as stack:
        (client,) = connections(stack, victim, 1)
        unread = HEAD.replace(b"image/png", b"text/plain") + b"content-length: 500000\r\n\r\n"
        client.sendall(unread)
        assert client.recv(12) == b"HTTP/1.1 415"
        for _ in range(1000):
            if is_closed(client):
                break
            client.send(b"x")
            time.sleep(0.05)
        assert is_closed(client)


def test_clients_that_leave_at_every_point_leave_nothing_behind(victim: Victim) -> None:
    body = picture()
    whole = HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body
    reset = struct.pack("ii", 1, 0)
    for cut in [*range(1, len(whole), 7), len(whole)] * 2:
        with socket.create_connection(("127.0.0.1", victim.port), FAR) as client:
            client.sendall(whole[:cut])
            if cut % 2:  # a reset instead of an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)


def test_clients_that_do_not_read_are_not_written_to_for_ever(victim: Victim) -> None:
    count = 20
    before, files = victim.metric("http_responses_total"), victim.files
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", victim.port))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: test\r\n\r\n" * 200)
        until(lambda: victim.metric("http_responses_total") >= before + count)
        until(lambda: victim.files <= files)
        assert victim.metric("http_responses_total") < before + 200 * count
