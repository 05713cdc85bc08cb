"""A service in a container that is killed and that is stopped."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.docker.stack import KILL, Report, Stack, docker, inspect, is_healthy, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


def test_it_is_started_again_after_it_was_killed(
    stack: Stack, photo: bytes, report: Report
) -> None:
    (container,) = stack.containers("service")
    before = inspect(container)["RestartCount"]
    began = time.monotonic()
    docker("exec", container, "python", "-c", KILL, check=False)
    until(lambda: inspect(container)["RestartCount"] == before + 1, "not restarted")
    until(lambda: is_healthy(container), "not healthy again")
    report(f"killed, started by Docker and healthy again after {time.monotonic() - began:.1f} s")
    with stack.client() as client:
        assert client.post("/classify", files={"file": photo}).status_code == 200


def test_what_is_in_flight_is_answered_when_it_is_stopped(stack: Stack, photo: bytes) -> None:
    (container,) = stack.containers("service")
    eight = [("file", photo)] * 8

    def in_flight() -> float:
        with stack.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("sightline_in_fl")
        )

    def ask(_: int) -> int:
        with stack.client() as client:
            return client.post("/detect", files=eight).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, number) for number in range(4)]
        until(lambda: in_flight() >= 16, "nothing came in flight")
        stack.compose("stop", "service")
        assert [answer.result() for answer in answers] == [200] * 4
    state = inspect(container)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    log = docker("logs", "--tail", "50", container)
    assert "Traceback" not in log
    stack.compose("up", "--wait")
