"""`docker compose up` for real: started, asked, confined."""

import time

import httpx
import pytest

from tests.docker.stack import Report, Stack, inspect, python

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


def tasks_of(client: httpx.Client) -> set[str]:
    return {model["task"] for model in client.get("/models").json()}


def test_it_is_up_and_answers(stack: Stack, photo: bytes, report: Report) -> None:
    """A second start, so that nothing is built and every layer is on the disk."""
    stack.compose("down", "--timeout", "45")
    began = time.monotonic()
    stack.compose("up", "--wait")
    with stack.client() as client:
        answer = client.post("/classify", files={"file": photo})
    took = time.monotonic() - began
    report(f"compose up --wait to the first answer: {took:.1f} s (bar: 15 s on an idle machine)")
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == "espresso"


def test_every_endpoint_answers_a_real_picture(stack: Stack, photo: bytes) -> None:
    with stack.client() as client:
        ready = client.get("/readyz").json()
        assert ready["ready"] is True
        assert ready["refused"] == {}
        assert ready["device"] == "cpu"
        assert client.get("/healthz").json() == {"status": "ok"}
        served = tasks_of(client)
        assert {"classify", "detect", "segment", "caption"} <= served
        for task in sorted(served - {"stylize"}):
            answer = client.post(f"/{task}", files={"file": photo})
            assert answer.status_code == 200, answer.text
            assert answer.headers["sightline-device"] == "cpu"
            assert answer.json()["image"] == {"width": 600, "height": 400}
        styled = client.post("/stylize", files={"content": photo, "style": photo})
        assert styled.status_code == (200 if "stylize" in served else 503)
        assert client.get("/styles").status_code == 200
        drawn = client.post("/detect", files={"file": photo}, headers={"accept": "image/jpeg"})
        assert drawn.content.startswith(b"\xff\xd8")
        assert client.post("/classify", content=b"no picture").status_code == 415
        assert client.get("/docs").status_code == 200
        assert "sightline_stage_seconds_bucket" in client.get("/metrics").text


def test_every_model_of_the_folder_can_be_asked(stack: Stack, photo: bytes) -> None:
    with stack.client() as client:
        for model in client.get("/models").json():
            if model["task"] == "stylize":
                continue
            answer = client.post(
                f"/{model['task']}", params={"model": model["name"]}, files={"file": photo}
            )
            assert answer.status_code == 200, answer.text


def test_it_runs_as_nobody_in_particular_and_may_do_nothing(stack: Stack) -> None:
    (container,) = stack.containers("service")
    status = dict(
        line.split(":", 1)
        for line in python(container, "print(open('/proc/self/status').read())").splitlines()
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"


def test_it_can_write_nowhere_but_to_memory(stack: Stack) -> None:
    (container,) = stack.containers("service")
    code = """
import errno, pathlib
for folder in ("/", "/etc", "/opt/sightline", "/models", "/var/tmp", "/tmp"):
    try:
        pathlib.Path(folder, "trace").write_text("x")
        print(folder, "written")
    except OSError as error:
        print(folder, errno.errorcode[error.errno])
"""
    said = dict(line.split() for line in python(container, code).splitlines())
    assert said.pop("/tmp") == "written"
    assert set(said.values()) <= {"EROFS", "EACCES"}
    assert said["/models"] == said["/var/tmp"] == "EROFS"
    mounts = {mount["Destination"]: mount for mount in inspect(container)["Mounts"]}
    assert mounts["/models"]["RW"] is False


def test_its_memory_and_processes_are_bounded(stack: Stack) -> None:
    (container,) = stack.containers("service")
    host = inspect(container)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 4 << 30
    assert host["PidsLimit"] == 512
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    seen = python(  # in the container's own cgroup, of version 2 or 1
        container,
        "import pathlib; r = pathlib.Path('/sys/fs/cgroup'); "
        "f = [p for p in (r / 'memory.max', r / 'memory/memory.limit_in_bytes') if p.exists()]; "
        "print(f[0].read_text() if f else '')",
    )
    assert seen in ("", str(4 << 30))


def test_a_fork_bomb_ends_at_the_limit(stack: Stack) -> None:
    (container,) = stack.containers("service")
    code = """
import threading
event = threading.Event()
started = 0
try:
    for _ in range(1000):
        threading.Thread(target=event.wait, daemon=True).start()
        started += 1
except RuntimeError:
    pass
event.set()
print(started)
"""
    assert 0 < int(python(container, code)) < 512
    with stack.client() as client:
        assert client.get("/healthz").status_code == 200
