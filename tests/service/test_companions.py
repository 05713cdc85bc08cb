"""Requests whose picture waits for others' runs, with runs and clients in the test's hands."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asgi import FAR, Client, until
from conftest import encoded
from fabricate import TinyStylizer
from fastapi import FastAPI

from service import forerun, images
from service.app import create_app
from service.loading import Model
from service.session import Arrays
from service.settings import Settings
from service.state import State

CONTENT = encoded((50, 0, 0), size=20)


class Held:
    """Runs a role's own session once the test lets it."""

    def __init__(self, model: Model, role: str) -> None:
        self._session = model.sessions[role]
        assert isinstance(model.sessions, dict)
        model.sessions[role] = self
        self.free = threading.Event()
        self.reds: list[int] = []
        """The first red value of every picture that ran."""
        self.lone: list[bool] = []
        """Of each run, whether it had the whole device."""

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        self.reds += [int(item["images"][0, 0, 0]) for item in items]
        self.lone.append(lone)
        assert self.free.wait(FAR)
        return self._session.run(items, lone=lone)


class Service:
    """A started application with one model, its parts and its counters."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.state: State = app.state.sightline
        self.model = self.state.registry.get("stylize")
        self.encode, self.main = Held(self.model, "encode"), Held(self.model, "main")

    def post(self, *styles: int, query: str = "") -> Client:
        """Ask for a picture in styles that have these red values."""
        files = [("content", CONTENT), *(("style", encoded((red, 9, 9))) for red in styles)]
        request = httpx.Request("POST", "http://test", files=files)
        content_type = request.headers["content-type"]
        return Client(self.app, request.read(), content_type, path="/stylize", query=query)

    def count(self, metric: str, **labels: str) -> float:
        labels = {"task": "stylize", "model": "styles", **labels}
        value = self.state.telemetry.registry.get_sample_value(f"sightline_{metric}", labels)
        assert value is not None
        return value

    @property
    def is_idle(self) -> bool:
        """Whether nothing is held of any request."""
        bodies = self.state.inference._bodies.held
        return (self.count("in_flight"), self.model.batcher.queued, bodies) == (0, 0, 0)

    def release(self) -> None:
        self.encode.free.set()
        self.main.free.set()


@asynccontextmanager
async def serving(root: Path, **settings: Any) -> AsyncIterator[Service]:
    TinyStylizer(poison=7).write(root)
    app = create_app(
        Settings(models=root, device="cpu", **{"slots": 1, "max_batch": 1, **settings})
    )
    async with app.router.lifespan_context(app):
        await until(lambda: app.state.sightline.registry.ready)
        running = Service(app)
        try:
            yield running
        finally:
            running.release()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as running:
        yield running


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged that an operator would have to look into."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING or r.exc_info]


async def test_companions_run_one_after_the_other_and_then_the_content(service: Service) -> None:
    client = service.post(20, 30, 40)
    await until(lambda: service.encode.reds == [20])
    assert service.count("in_flight") == 4
    assert service.model.batcher.queued == 0
    assert not service.main.reds
    service.release()
    await client.answer()
    assert client.status == 200
    assert (service.encode.reds, service.main.reds) == ([20, 30, 40], [50])
    assert service.encode.lone == [True] * 3  # though four pictures are let in
    assert service.main.lone == [True]
    assert service.is_idle
    assert service.count("pictures_total", outcome="answered") == 1


async def test_two_requests_share_the_device(service: Service) -> None:
    first, second = service.post(20), service.post(query="style=wave")
    await until(lambda: service.encode.reds and service.count("in_flight") == 3)
    service.release()
    await asyncio.gather(first.answer(), second.answer())
    assert (first.status, second.status) == (200, 200)
    assert service.is_idle


async def test_server_timing_tells_of_all_runs(service: Service) -> None:
    client = service.post(20, 30)
    await until(lambda: service.encode.reds == [20])
    running = time.monotonic()
    await asyncio.sleep(0.02)
    held_ms = 1e3 * (time.monotonic() - running)
    service.release()
    await client.answer()
    stages = dict(each.split(";dur=") for each in client.headers["server-timing"].split(", "))
    spent = {stage: float(ms) for stage, ms in stages.items()}
    assert spent["run"] >= held_ms  # which is of the first run alone
    assert spent["total"] >= spent["decode"] + spent["run"]


@pytest.mark.parametrize("role", ["encode", "main"])
async def test_a_client_that_leaves_frees_everything_whichever_run_is_under_way(
    service: Service, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    if role == "main":
        service.encode.free.set()
    client = service.post(20, 30)
    await until(lambda: getattr(service, role).reds)
    client.leave()
    await asyncio.wait_for(client.done, FAR)
    assert service.is_idle
    service.release()
    after = service.post(query="style=wave")
    await after.answer()
    assert after.status == 200
    assert service.encode.reds == ([20] if role == "encode" else [20, 30])
    assert len(service.main.reds) == (1 if role == "encode" else 2)
    assert service.count("cancelled_total") == 1
    assert not complaints(caplog)


async def test_a_client_that_leaves_while_a_companion_is_queued_is_forgotten(
    service: Service,
) -> None:
    running = service.post(query="style=wave")
    await until(lambda: service.main.reds)
    queued = service.post(20)
    await until(lambda: service.model.batcher.queued == 1)
    queued.leave()
    await asyncio.wait_for(queued.done, FAR)
    assert service.model.batcher.queued == 0
    assert service.count("in_flight") == 1
    service.release()
    await running.answer()
    assert running.status == 200
    assert not service.encode.reds


async def test_a_client_that_leaves_while_a_companion_is_decoded_costs_no_run(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free, ended = (threading.Event() for _ in range(3))

    def held(*arguments: Any) -> Any:
        begun.set()
        assert free.wait(FAR)
        try:
            return images.decode(*arguments)
        finally:
            ended.set()

    monkeypatch.setattr(forerun, "decode", held)
    client = service.post(20)
    await until(begun.is_set)
    client.leave()
    await asyncio.wait_for(client.done, FAR)
    assert service.is_idle
    free.set()
    await until(ended.is_set)
    service.release()
    after = service.post(query="style=wave")
    await after.answer()
    assert after.status == 200
    assert not service.encode.reds


async def test_a_companion_that_fails_fails_its_request_and_the_content_is_not_run(
    service: Service,
) -> None:
    service.release()
    client = service.post(20, 7, 30)
    answer = await client.answer()
    assert (client.status, answer["type"]) == (500, "urn:sightline:problem:inference-failed")
    canary = [0, 0]  # golden inputs, which tell a bad picture from broken sessions
    assert service.encode.reds == [20, 7, *canary]
    assert service.main.reds == canary
    assert service.is_idle
    assert service.count("pictures_total", outcome="failed") == 1
    assert service.count("pictures_total", outcome="answered") == 0


async def test_a_style_without_a_code_is_refused_counted_and_not_kept(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.release()
    run, broken = service.encode.run, [True]

    def sometimes(items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        found = run(items, lone=lone)
        return [{"code": each["code"] * np.float32(np.nan)} for each in found] if broken else found

    monkeypatch.setattr(service.encode, "run", sometimes)
    client = service.post(20)
    answer = await client.answer()
    assert (client.status, answer["type"]) == (422, "urn:sightline:problem:unusable-image")
    assert answer["detail"].startswith("picture 1 in the field 'style': ")
    assert service.count("pictures_total", outcome="failed") == 1
    assert not service.main.reds
    assert service.is_idle
    broken.clear()
    again = service.post(20)
    await again.answer()
    assert again.status == 200
    assert service.encode.reds == [20, 20]  # nothing had been kept


@pytest.mark.parametrize("role", ["encode", "main"])
async def test_one_deadline_holds_for_all_runs(tmp_path: Path, role: str) -> None:
    async with serving(tmp_path, timeout_s=0.5) as service:
        if role == "main":
            service.encode.free.set()
        client = service.post(20, 30)
        answer = await client.answer()
        assert (client.status, answer["type"]) == (504, "urn:sightline:problem:late")
        assert service.is_idle
        assert service.count("late_total") == 1
        service.release()
        after = service.post(query="style=wave")
        await after.answer()
        assert after.status == 200
        assert service.encode.reds == ([20] if role == "encode" else [20, 30])


async def test_a_request_needs_room_for_all_its_pictures(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_size=2) as service:  # and one that runs
        inside = service.post(query="style=wave")
        await until(lambda: service.main.reds)
        refused = service.post(20, 30)
        answer = await refused.answer()
        assert (refused.status, answer["type"]) == (429, "urn:sightline:problem:busy")
        assert service.count("rejected_total") == 1
        never = service.post(20, 30, 40)
        await never.answer()
        assert never.status == 413
        let_in = service.post(20)
        await until(lambda: service.model.batcher.queued == 1)
        assert service.count("in_flight") == 3
        service.release()
        await asyncio.gather(inside.answer(), let_in.answer())
        assert (inside.status, let_in.status) == (200, 200)
        assert service.is_idle


async def test_an_oversight_in_a_companion_is_a_500_and_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("an oversight")

    monkeypatch.setattr(forerun, "decode", broken)
    client = service.post(20)
    answer = await client.answer()
    assert client.status == 500
    assert "oversight" not in answer["detail"]
    assert "an oversight" in caplog.text
    assert service.is_idle


async def test_stopping_answers_a_request_between_two_runs(service: Service) -> None:
    client = service.post(20)
    await until(lambda: service.encode.reds)
    closing = asyncio.create_task(service.state.registry.close())
    await until(lambda: service.model.batcher._waiting._closed)
    service.release()
    await client.answer()
    assert client.status == 503  # the model takes no further runs
    await closing
    assert service.is_idle
