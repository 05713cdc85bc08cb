"""The service on a real Ray cluster: three nodes, each with a raylet of its own, on this machine.

Slow and large to install, so not part of the whole suite: ``make test-ray``.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import skimage.data
import yaml
from fabricate import Tiny
from PIL import Image

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy" / "serve.yaml"
FAR = 300.0
"""Seconds nothing here takes."""

QUICK, SLOW = 1, 8
"""First green values of pictures: what they cost a slot is in proportion."""

ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    # Idle workers, made in advance, would only compete for a small machine's processors; and a
    # machine that does other work as well must not starve those that are needed.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_niceness": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
}


def until(condition: Callable[[], object], what: str) -> float:
    """Wait; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + FAR, what
        time.sleep(0.1)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def colour(green: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), (200, green, 0), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def photograph(name: str) -> bytes:
    """A real photograph, as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(getattr(skimage.data, name)()).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@dataclass
class Deployed:
    """The application, as its clients and its operator see it."""

    port: int
    dashboard: int
    cluster: Any
    workers: list[Any]
    folder: Path
    configuration: dict[str, Any]

    def deploy(self, arguments: Mapping[str, Any], **settings: Any) -> None:
        """``serve deploy`` of the shipped file with other values in it."""
        (application,) = self.configuration["applications"]
        application["args"] = {
            **application["args"],
            **arguments,
            "settings": application["args"]["settings"] | settings,
        }
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(self.configuration))
        command = Path(sysconfig.get_path("scripts")) / "serve"
        address = f"http://127.0.0.1:{self.dashboard}"
        done = subprocess.run(
            [command, "deploy", path, "--address", address],
            capture_output=True,
            text=True,
            check=False,
            timeout=FAR,
        )
        assert done.returncode == 0, done.stderr

    def status(self) -> Any:
        connection = HTTPConnection("127.0.0.1", self.dashboard, timeout=FAR)
        connection.request("GET", "/api/serve/applications/")
        body = json.loads(connection.getresponse().read())
        connection.close()
        return body["applications"].get("sightline", {"status": "MISSING", "deployments": {}})

    def replicas(self) -> list[Any]:
        """Those that get requests."""
        deployment = self.status()["deployments"].get("Sightline", {"replicas": []})
        return [each for each in deployment["replicas"] if each["state"] == "RUNNING"]

    def wait_for(self, count: int) -> float:
        """Wait for a number of replicas and for nothing else to be under way."""

        def there() -> bool:
            return self.status()["status"] == "RUNNING" and len(self.replicas()) == count

        return until(there, f"{count} replicas: {self.status()}")

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=FAR)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        connection = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def by_replica(self, metric: str) -> Counter[str]:
        """A counter's sum over all labels but the replica."""
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        found: Counter[str] = Counter()
        for line in lines:
            if line.startswith(f"sightline_{metric}{{"):
                replica = line.partition('replica="')[2].partition('"')[0]
                found[replica] += int(float(line.rsplit(" ", 1)[1]))
        return found


@dataclass
class Load:
    """Clients that ask for a picture again and again, each over a connection it keeps."""

    deployed: Deployed
    clients: int
    green: int = QUICK
    answers: list[tuple[float, int | str, str | None]] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._insist) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(FAR)

    def _insist(self) -> None:
        connection = self.deployed.connect()
        headers = {"content-type": "image/png"}
        while not self._stopped.is_set():
            try:
                connection.request("POST", "/classify", colour(self.green), headers)
                response = connection.getresponse()
                body = response.read()
                status: int | str = response.status
                if status == 200:
                    assert json.loads(body)["predictions"][0]["label"] == "red"
                told = response.headers["retry-after"]
            except (OSError, HTTPException) as error:
                status, told = type(error).__name__, None
                connection.close()
            self.answers.append((time.monotonic(), status, told))
            if status == 429:
                time.sleep(0.2)  # a client that does not wait at all measures its own haste
        connection.close()

    def statuses(self) -> Counter[int | str]:
        return Counter(status for _, status, _ in self.answers)

    def failures(self) -> list[float]:
        """When what is neither an answer nor a refusal came."""
        return [at for at, status, _ in self.answers if status not in (200, 429)]

    def losses(self, since: float) -> str:
        lost = self.failures()
        last = max(lost, default=since) - since
        return (
            f"{len(lost)} of {len(self.answers)} requests lost, the last {last:.1f} s after it, "
            f"{dict(self.statuses())}"
        )

    def wait_for_answers(self, more: int = 20) -> None:
        goal = self.statuses()[200] + more
        until(lambda: self.statuses()[200] >= goal, f"no answers: {self.statuses()}")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Three nodes, one of them without a place for replicas, and two replicas."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SIGHTLINE_")]:
            patch.delenv(name)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        # Only now: Ray reads its variables as it is imported.
        cluster_utils = pytest.importorskip("ray.cluster_utils")

        models = tmp_path_factory.mktemp("models")
        Tiny(work=60).write(models)
        for name in ("imagenet-small", "detect"):
            (models / name).symlink_to(ROOT / "models" / name)
        configuration = yaml.safe_load(CONFIGURATION.read_text())
        port, dashboard = free_port(), free_port()
        # Here the nodes share a machine, so that their proxies would fight for the port.
        configuration["proxy_location"] = "HeadOnly"
        configuration["http_options"] |= {"host": "127.0.0.1", "port": port}
        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": dashboard}
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            workers = [cluster.add_node(num_cpus=2) for _ in range(2)]
            running = Deployed(
                port, dashboard, cluster, workers, tmp_path_factory.mktemp("serve"), configuration
            )
            running.deploy(
                {
                    "cpus": 1,
                    "memory_mib": 512,
                    "min_replicas": 2,
                    "max_replicas": 4,
                    # Above what the tests' few quick clients have in flight, below what the many
                    # with slow pictures do.
                    "target_ongoing_requests": 4,
                    "look_back_s": 10.5,
                    "upscale_delay_s": 2,
                    "downscale_delay_s": 10,
                },
                models=str(models),
                default_models={"classify": "tiny"},
                device="cpu",
                precision="fp32",
                queue_size=8,
                max_batch=1,
                max_body_mib=4,
                timeout_s=240,
            )
            running.wait_for(2)
            yield running
        finally:
            cluster.shutdown()


Report = Callable[[str], None]


@pytest.fixture
def report(capfd: pytest.CaptureFixture[str]) -> Report:
    """Tells a figure to who runs this; no test depends on it."""

    def tell(text: str) -> None:
        with capfd.disabled():
            sys.stdout.write(f"\n    {text}\n")

    return tell


def test_real_pictures_are_answered_through_the_proxy(deployed: Deployed) -> None:
    jpeg = {"content_type": "image/jpeg"}
    response, body = deployed.ask(
        "POST", "/classify?model=imagenet-small&top_k=3", photograph("chelsea"), **jpeg
    )
    assert response.status == 200, body
    assert response.headers["sightline-device"] == "cpu"
    assert any("cat" in found["label"].lower() for found in json.loads(body)["predictions"])

    response, body = deployed.ask("POST", "/detect", photograph("chelsea"), **jpeg)
    assert response.status == 200, body
    assert "cat" in {found["label"] for found in json.loads(body)["detections"]}
    response, body = deployed.ask(
        "POST", "/detect", photograph("chelsea"), **jpeg, accept="image/png"
    )
    assert (response.status, response.headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(body)) as drawn:
        assert drawn.size == (451, 300)

    form = b"".join(
        b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\n' + picture + b"\r\n"
        for picture in (photograph("chelsea"), b"no picture", photograph("astronaut"))
    )
    response, body = deployed.ask(
        "POST",
        "/classify?model=imagenet-small",
        form + b"--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )
    first, second, third = json.loads(body)
    assert "predictions" in first
    assert second["status"] == 415
    assert "predictions" in third


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        pytest.param("/classify", b"no picture", "image/png", 415, id="no-picture"),
        pytest.param("/classify", colour(QUICK)[:60], "image/png", 422, id="cut-off"),
        pytest.param("/classify", b"", "image/png", 400, id="empty"),
        pytest.param("/classify", bytes(5 << 20), "image/png", 413, id="too-large"),
        pytest.param("/classify?model=none", colour(QUICK), "image/png", 404, id="no-such-model"),
        pytest.param("/classify?top_k=0", colour(QUICK), "image/png", 422, id="out-of-range"),
        pytest.param("/classify", colour(QUICK), "text/plain", 415, id="text"),
    ],
)
def test_problems_are_those_of_the_service(
    deployed: Deployed, path: str, body: bytes, kind: str, status: int
) -> None:
    response, told = deployed.ask("POST", path, body, content_type=kind)
    assert (response.status, json.loads(told)["status"]) == (status, status), told
    assert response.headers["content-type"] == "application/problem+json"


def test_replicas_are_spread_and_all_have_work(deployed: Deployed) -> None:
    replicas = deployed.replicas()
    assert len({replica["node_id"] for replica in replicas}) == 2
    before = deployed.by_replica("pictures_total")
    assert set(before) == {replica["replica_id"] for replica in replicas}
    with Load(deployed, clients=8) as load:
        load.wait_for_answers(60)
    new = deployed.by_replica("pictures_total") - before
    assert sum(new.values()) == load.statuses()[200]
    assert all(count > 5 for count in new.values()), new
    assert not load.failures()


def test_a_full_replica_says_429_itself(deployed: Deployed) -> None:
    with Load(deployed, clients=32, green=SLOW) as load:
        until(lambda: load.statuses()[429] > 5, f"{load.statuses()}")
        load.wait_for_answers(5)
    assert set(load.statuses()) == {200, 429}
    assert all((told is not None) == (status == 429) for _, status, told in load.answers)
    assert sum(deployed.by_replica("rejected_total").values()) > 0


def test_replicas_come_with_the_demand_and_go_with_it(deployed: Deployed, report: Report) -> None:
    deployed.wait_for(2)
    with Load(deployed, clients=32, green=SLOW) as load:
        up = deployed.wait_for(4)
        many = deployed.replicas()
        load.wait_for_answers(5)
        ending = time.monotonic()
    deployed.wait_for(2)
    down = time.monotonic() - ending
    assert len({replica["node_id"] for replica in many}) == 2
    report(f"2 to 4 replicas in {up:.0f} s under load, back to 2 within {down:.0f} s of its end")
    assert not load.failures()


def test_a_killed_replica_is_replaced_under_load(deployed: Deployed, report: Report) -> None:
    victim = deployed.replicas()[0]
    with Load(deployed, clients=4) as load:
        load.wait_for_answers()
        killed = time.monotonic()
        os.kill(victim["pid"], signal.SIGKILL)
        until(
            lambda: victim["replica_id"] not in {r["replica_id"] for r in deployed.replicas()},
            "the dead replica is still listed",
        )
        deployed.wait_for(2)
        replaced = time.monotonic() - killed
        load.wait_for_answers(60)
    report(f"kill -9 of a replica: {load.losses(killed)}; replaced within {replaced:.0f} s")
    assert len(load.failures()) <= load.clients, load.statuses()  # those in flight


def test_a_lost_node_leaves_its_replicas_to_the_others(deployed: Deployed, report: Report) -> None:
    node = deployed.replicas()[0]["node_id"]
    (lost_node,) = [worker for worker in deployed.workers if worker.node_id == node]
    with Load(deployed, clients=4) as load:
        load.wait_for_answers()
        killed = time.monotonic()
        deployed.cluster.remove_node(lost_node, allow_graceful=False)
        deployed.workers.remove(lost_node)
        until(
            lambda: node not in {replica["node_id"] for replica in deployed.replicas()},
            "replicas of the lost node are still listed",
        )
        deployed.wait_for(2)
        replaced = time.monotonic() - killed
        load.wait_for_answers(60)
    deployed.workers.append(deployed.cluster.add_node(num_cpus=2))
    report(f"a node lost: {load.losses(killed)}; its replica replaced within {replaced:.0f} s")
    # Those in flight, and those that were sent to it before the others knew that it is gone.
    assert len(load.failures()) <= 3 * load.clients, load.statuses()


def test_a_changed_setting_is_rolled_out_without_a_lost_request(
    deployed: Deployed, report: Report
) -> None:
    before = {replica["replica_id"] for replica in deployed.replicas()}
    with Load(deployed, clients=4) as load:
        load.wait_for_answers()
        deployed.deploy({}, max_body_mib=1)
        until(
            lambda: not before & {replica["replica_id"] for replica in deployed.replicas()},
            "old replicas still serve",
        )
        deployed.wait_for(2)
        load.wait_for_answers(60)
    assert not load.failures(), load.statuses()
    report(f"a changed setting rolled out under load: {dict(load.statuses())}")
    response, _ = deployed.ask("POST", "/classify", bytes(2 << 20), content_type="image/png")
    assert response.status == 413
