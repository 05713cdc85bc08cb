"""Several instances behind the gateway."""

import json
import threading
from http.client import HTTPConnection

import httpx
import pytest

from tests.docker.stack import FAR, KILL, Stack, docker, inside, inspect, is_healthy, python, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def scaled(stack: Stack) -> Stack:
    stack.compose("--profile", "scale", "up", "--wait", "gateway")
    return stack


def served_by(container: str) -> float:
    """Pictures an instance has answered."""
    code = (
        "from urllib.request import urlopen; "
        "print(urlopen('http://localhost:8000/metrics').read().decode())"
    )
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in python(container, code).splitlines()
        if line.startswith("sightline_pictures_total") and 'outcome="answered"' in line
    )


def instances(stack: Stack) -> list[str]:
    return [*stack.containers("service"), *stack.containers("replica")]


class Load:
    """Clients that ask the gateway one request after another, and note every status."""

    def __init__(self, stack: Stack, photo: bytes, clients: int = 4) -> None:
        self.statuses: list[int | str] = []
        self._stack, self._photo = stack, photo
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.statuses) >= 8, "no load")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                with self._stack.client("GATEWAY_PORT") as client:
                    answer = client.post("/classify", files={"file": self._photo})
                self.statuses.append(answer.status_code)
            except httpx.HTTPError as error:
                self.statuses.append(repr(error))


def test_the_gateway_uses_every_instance(scaled: Stack, photo: bytes) -> None:
    assert len(instances(scaled)) == 3
    until(lambda: all(is_healthy(each) for each in instances(scaled)), "not all healthy")
    before = [served_by(each) for each in instances(scaled)]
    with Load(scaled, photo) as load:
        until(lambda: len(load.statuses) >= 30, "no answers")
    assert set(load.statuses) == {200}
    after = [served_by(each) for each in instances(scaled)]
    assert all(now > then for then, now in zip(before, after, strict=True))


def test_nothing_is_lost_while_an_instance_goes_and_comes(scaled: Stack, photo: bytes) -> None:
    victim = scaled.containers("replica")[0]
    with Load(scaled, photo) as load:
        docker("stop", "--time", "45", victim)
        gone = len(load.statuses)
        until(lambda: len(load.statuses) >= gone + 20, "no answers without it")
        docker("start", victim)
        until(lambda: is_healthy(victim), "not back")
        began = served_by(victim)
        until(lambda: served_by(victim) > began, "not used again")
    assert set(load.statuses) == {200}


def test_nothing_is_lost_while_every_instance_is_renewed(scaled: Stack, photo: bytes) -> None:
    before = {inspect(each)["Id"] for each in instances(scaled)}
    with Load(scaled, photo) as load:
        for half in ("replica", "service"):
            scaled.compose(
                "--profile", "scale", "up", "--wait", "--no-deps", "--force-recreate", half
            )  # fmt: skip
        renewed = len(load.statuses)
        until(lambda: len(load.statuses) >= renewed + 20, "no answers")
    assert not before & {inspect(each)["Id"] for each in instances(scaled)}
    assert set(load.statuses) == {200}


def test_a_killed_instance_costs_no_more_than_it_had_in_flight(scaled: Stack, photo: bytes) -> None:
    victim = scaled.containers("replica")[-1]
    clients = 4
    with Load(scaled, photo, clients) as load:
        docker("exec", victim, "python", "-c", KILL, check=False)
        gone = len(load.statuses)
        until(lambda: len(load.statuses) >= gone + 20, "no answers without it")
    lost = [status for status in load.statuses if status != 200]
    assert len(lost) <= clients
    assert set(lost) <= {502}
    until(lambda: is_healthy(victim), "not back")


def test_the_gateway_passes_request_ids_and_logs_them(scaled: Stack, photo: bytes) -> None:
    (gateway,) = scaled.containers("gateway")
    with scaled.client("GATEWAY_PORT") as client:
        for sent in ("order-66", 'a "bad" one\\'):
            headers = {"x-request-id": sent}
            assert client.post(
                "/classify?top_k=1", files={"file": photo}, headers=headers
            ).is_success
    lines = [line for line in docker("logs", gateway).splitlines() if line.startswith("{")]
    records = [json.loads(line) for line in lines if "top_k=1" in line]
    assert records[-2]["request_id"] == "order-66"
    assert records[-2]["status"] == 200
    assert records[-2]["instance"].startswith("instance")
    assert len(records[-1]["request_id"]) == 36


def test_the_gateway_answers_with_problems_too(scaled: Stack) -> None:
    with scaled.client("GATEWAY_PORT") as client:
        hidden = client.get("/metrics")
        missing = client.get("/nowhere")
    for answer, status in ((hidden, 404), (missing, 404)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_the_gateway_refuses_a_large_body_by_its_head(scaled: Stack) -> None:
    connection = HTTPConnection("127.0.0.1", scaled.ports["GATEWAY_PORT"], timeout=FAR)
    connection.putrequest("POST", "/classify")
    connection.putheader("Content-Length", str(64 << 20))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.getheader("content-type") == "application/problem+json"
    assert json.loads(answer.read())["type"] == "urn:sightline:problem:too-large"
    connection.close()


def test_the_gateway_is_confined_as_well_and_tells_its_metrics(scaled: Stack) -> None:
    (gateway,) = scaled.containers("gateway")
    host = inspect(gateway)["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["PidsLimit"] == 64
    status = inside(gateway, "cat", "/proc/self/status")
    assert "Uid:\t99\t99\t99\t99" in status
    assert "CapBnd:\t0000000000000000" in status
    metrics = inside(gateway, "wget", "-q", "-O", "-", "http://127.0.0.1:8404/metrics")
    assert 'haproxy_backend_active_servers{proxy="instances"} 3' in metrics
    inside(gateway, "haproxy", "-c", "-f", "/etc/gateway/haproxy.cfg")


def test_replicas_have_no_way_out_of_the_machine(scaled: Stack) -> None:
    code = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=3)
    print("out")
except OSError as error:
    print(error.strerror or error)
"""
    said = python(scaled.containers("replica")[0], code)
    assert "unreachable" in said
