"""Several workers of the real command: a port, a death, a hang, the metrics, the end."""

import io
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import onnxruntime as ort
import pytest
from fabricate import Tiny
from live_server import FAR, Server, until
from PIL import Image

pytestmark = pytest.mark.live

WORKERS = ("--workers", "2")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    Tiny(work=30).write(root)
    return root


@pytest.fixture
def server(models: Path) -> Iterator[Server]:
    with Server(models, *WORKERS) as running:
        running.wait_until_ready()
        until(lambda: running.metric("workers") == 2)
        until(lambda: running.metric("spare_workers") == 1)
        yield running


def workers_of(server: Server) -> list[int]:
    """The process ids of the workers, in the order they started; the last is the spare one."""
    text = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def picture() -> bytes:
    """One that takes a few milliseconds to run."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 1, 0)).save(buffer, "PNG")
    return buffer.getvalue()


class Load:
    """Clients in a closed loop, each with a connection that it opens again when it breaks."""

    def __init__(self, server: Server, clients: int) -> None:
        self.statuses: list[int] = []
        self.broken: list[float] = []
        self._server, self._over = server, threading.Event()
        self._body = picture()
        self._threads = [threading.Thread(target=self._loop) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(FAR)

    def _loop(self) -> None:
        connection: HTTPConnection | None = None
        while not self._over.is_set():
            connection = connection or self._server.connect()
            try:
                connection.request("POST", "/classify", self._body, {"content-type": "image/png"})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except (OSError, HTTPException):
                self.broken.append(time.monotonic())
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def test_a_killed_worker_costs_its_requests_in_flight_and_the_spare_takes_its_place(
    server: Server,
) -> None:
    clients = 8
    before = workers_of(server)
    assert len(before) == 3
    with Load(server, clients) as load:
        until(lambda: len(load.statuses) > 50)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: server.metric("worker_recovery_seconds_count") == 1)
        until(lambda: server.metric("workers") == 2)
        done = len(load.statuses)
        until(lambda: len(load.statuses) > done + 50)
    assert set(load.statuses) == {200}
    # Each client had one request in flight, and those of the other worker lost nothing.
    assert len(load.broken) < clients
    until(lambda: server.metric("spare_workers") == 1)
    assert len(set(workers_of(server)) - set(before)) == 1
    assert len(workers_of(server)) == 3
    assert server.metric("worker_restarts_total") == 1
    assert server.stop() == 0


def test_counts_are_of_all_workers_and_do_not_fall_when_one_dies(server: Server) -> None:
    with Load(server, 6) as load:
        until(lambda: len(load.statuses) > 200)
    counted = server.metric("pictures_total")
    assert counted == len(load.statuses)
    text = server.get("/metrics")[1]
    shown = re.findall(r"^process_resident_memory_bytes{worker=", text, re.MULTILINE)
    assert len(shown) == 4  # the spare one and the supervisor among them
    assert server.metric("in_flight") == 0
    # A scrape is a report, so nothing of what was counted is lost.
    os.kill(workers_of(server)[0], signal.SIGKILL)
    until(lambda: server.metric("worker_recovery_seconds_count") == 1)
    assert server.metric("pictures_total") == counted
    assert server.stop() == 0


def test_a_hung_worker_is_replaced(models: Path) -> None:
    with Server(models, *WORKERS, "--worker-timeout-s", "3") as server:
        server.wait_until_ready()
        until(lambda: server.metric("workers") == 2)
        hung = workers_of(server)[0]
        os.kill(hung, signal.SIGSTOP)
        until(lambda: not is_alive(hung))
        until(lambda: len(workers_of(server)) == 3)
        server.wait_until_ready()
        until(lambda: server.metric("worker_restarts_total") == 1)
        assert any("said nothing" in line for line in server.log)
        assert server.stop() == 0


def test_a_signal_lets_all_workers_finish_what_is_in_flight(server: Server) -> None:
    with Load(server, 6) as load:
        until(lambda: len(load.statuses) > 20)
        server.process.send_signal(signal.SIGTERM)
        assert server.exit_status() == 0
        until(lambda: len(load.broken) >= 6)
    assert set(load.statuses) == {200}
    assert not server.complaints()


def test_workers_end_when_the_supervisor_is_killed(server: Server) -> None:
    pids = workers_of(server)
    server.process.kill()
    until(lambda: not any(map(is_alive, pids)))


def test_workers_that_cannot_start_end_the_service(models: Path) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this build has CUDA")
    with Server(models, *WORKERS, "--device", "cuda") as server:
        assert server.exit_status() == 1
        # The device is refused by each worker once; nobody tries again and again.
        refusals = [line for line in server.log if "no CUDA provider" in line]
        assert 1 <= len(refusals) <= 2
        assert not [line for line in server.log if "Traceback" in line]


def test_every_worker_answers_for_itself(server: Server) -> None:
    for _ in range(10):
        status, body = server.get("/readyz")
        assert status == 200
        assert json.loads(body)["models"] == ["tiny"]


def names(server: Server) -> set[str]:
    """What is served, as whichever worker takes the connection says."""
    return {model["name"] for model in json.loads(server.get("/models")[1])}


def test_loads_and_unloads_reach_all_workers_and_those_that_start_later(models: Path) -> None:
    flags = (*WORKERS, "--allow-repository-control", "true")
    with Server(models, *flags) as server:
        server.wait_until_ready()
        until(lambda: server.metric("workers") == 2)

        def ask(verb: str, name: str) -> int:
            connection = server.connect()
            connection.request("POST", f"/v2/repository/models/{name}/{verb}")
            status = connection.getresponse().status
            connection.close()
            return status

        assert ask("load", "late") == 404
        Tiny(name="late").write(models)
        assert ask("load", "late") == 200
        assert [names(server) for _ in range(20)] == [{"tiny", "late"}] * 20
        (models / "late/1/model.fp32.onnx").write_bytes(b"no graph")
        assert ask("load", "late") == 422
        assert [names(server) for _ in range(20)] == [{"tiny", "late"}] * 20
        assert ask("unload", "tiny") == 200
        assert [names(server) for _ in range(20)] == [{"late"}] * 20
        assert ask("unload", "tiny") == 404
        # A worker that starts now finds the folder, and loads nothing that was unloaded.
        until(lambda: server.metric("spare_workers") == 1)
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        until(lambda: server.metric("worker_restarts_total") == 3)
        server.wait_until_listening()
        assert ask("load", "tiny") == 200
        assert [names(server) for _ in range(20)] == [{"tiny"}] * 20  # the other is broken
        assert server.stop() == 0
