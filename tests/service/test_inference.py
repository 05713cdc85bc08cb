"""Requests against an application whose runs, decoding and clients a test holds in its hands."""

import asyncio
import dataclasses
import gc
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import numpy as np
import pytest
from asgi import FAR, Client, until
from conftest import encoded
from fabricate import Tiny, TinyDetector, TinyStylizer
from fastapi import FastAPI

from service import images, inference, job, loading
from service.app import create_app
from service.device import Device, Kind
from service.loading import Model
from service.session import Arrays
from service.settings import Settings
from service.state import State
from service.tasks import classify


class HeldSession:
    """Runs the model's own session once the test lets it."""

    def __init__(self, model: Model) -> None:
        self._session = model.sessions["main"]
        assert isinstance(model.sessions, dict)
        model.sessions["main"] = self
        self.free = threading.Event()
        self.reds: list[int] = []
        """The first red value of every picture that ran."""

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        self.reds += [int(item["images"][0, 0, 0]) for item in items]
        assert self.free.wait(FAR)
        return self._session.run(items, lone=lone)


class Service:
    """A started application with one model, its parts and its counters."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        state: State = app.state.sightline
        self.state = state
        self.model = state.registry.get("classify")
        self.session = HeldSession(self.model)

    def post(self, red: int) -> Client:
        return Client(self.app, encoded((red, 0, 0)))

    async def busy(self, count: int = 1) -> list[Client]:
        """Let in as many requests, of which the first is running and the others wait."""
        clients = []
        for index in range(count):
            clients.append(self.post(100 + index))
            await until(lambda: self.session.reds and self.model.batcher.queued == len(clients) - 1)
        return clients

    async def release(self, *clients: Client) -> list[int | None]:
        self.session.free.set()
        for client in clients:
            await asyncio.wait_for(client.done, FAR)
        return [client.status for client in clients]

    def count(self, metric: str, **labels: str) -> float:
        labels = {"task": "classify", "model": "tiny", **labels}
        value = self.state.telemetry.registry.get_sample_value(f"sightline_{metric}", labels)
        assert value is not None
        return value

    @property
    def in_flight(self) -> float:
        return self.count("in_flight")


@asynccontextmanager
async def serving(root: Path, **settings: Any) -> AsyncIterator[Service]:
    Tiny(poison=7).write(root)
    app = create_app(
        Settings(models=root, device="cpu", **{"slots": 1, "max_batch": 1, **settings})
    )
    async with app.router.lifespan_context(app):
        await until(lambda: app.state.sightline.registry.ready)
        service = Service(app)
        try:
            yield service
        finally:
            service.session.free.set()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
def held_decoding(monkeypatch: pytest.MonkeyPatch) -> "HeldDecoding":
    return HeldDecoding(monkeypatch)


class HeldDecoding:
    """Decoding that begins and then waits for the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.free, self.ended = (threading.Event() for _ in range(3))
        self.count = 0
        decode = images.decode

        def held(*arguments: Any) -> Any:
            self.count += 1
            self.begun.set()
            assert self.free.wait(FAR)
            try:
                return decode(*arguments)
            finally:
                self.ended.set()

        monkeypatch.setattr(job, "decode", held)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged that an operator would have to look into."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING or r.exc_info]


async def test_a_client_that_leaves_while_queued_is_forgotten_and_counted(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    running, queued = await service.busy(2)
    assert service.in_flight == 2
    queued.leave()
    await asyncio.wait_for(queued.done, FAR)
    assert service.model.batcher.queued == 0
    assert service.in_flight == 1
    assert service.count("cancelled_total") == 1
    assert await service.release(running) == [200]
    assert service.session.reds == [100]
    assert service.in_flight == 0
    assert not complaints(caplog)


async def test_a_client_that_leaves_while_its_run_is_under_way_is_counted_and_not_answered(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    (running,) = await service.busy()
    running.leave()
    await asyncio.wait_for(running.done, FAR)
    assert service.in_flight == 0
    next_one = service.post(50)
    assert await service.release(next_one) == [200]
    assert service.count("cancelled_total") == 1
    assert service.count("pictures_total", outcome="answered") == 1
    assert service.count("pictures_total", outcome="failed") == 0
    assert not complaints(caplog)


async def test_a_client_that_leaves_while_its_picture_is_decoded_costs_no_run(
    service: Service,
    held_decoding: HeldDecoding,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batcher, enqueued = service.model.batcher, list[int]()
    enqueue = batcher.enqueue

    def watched(role: str, inputs: Arrays, **more: Any) -> Any:
        enqueued.append(int(inputs["images"][0, 0, 0]))
        return enqueue(role, inputs, **more)

    monkeypatch.setattr(batcher, "enqueue", watched)
    client = service.post(50)
    await until(held_decoding.begun.is_set)
    client.leave()
    await asyncio.wait_for(client.done, FAR)
    assert service.in_flight == 0
    held_decoding.free.set()
    await until(held_decoding.ended.is_set)
    after = service.post(60)
    assert await service.release(after) == [200]
    assert enqueued == [60]
    assert service.count("cancelled_total") == 1
    assert not complaints(caplog)


async def test_a_client_that_leaves_before_a_thread_had_time_for_its_picture_costs_no_decoding(
    tmp_path: Path, held_decoding: HeldDecoding
) -> None:
    async with serving(tmp_path, cpus=1) as service:
        first = service.post(50)
        await until(held_decoding.begun.is_set)
        second = service.post(60)
        await until(lambda: service.in_flight == 2)
        second.leave()
        await asyncio.wait_for(second.done, FAR)
        third = service.post(70)
        held_decoding.free.set()
        assert await service.release(first, third) == [200, 200]
        assert held_decoding.count == 2
        assert service.session.reds == [50, 70]


async def test_a_client_that_leaves_just_as_its_picture_is_queued_costs_no_run(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (running,) = await service.busy()
    batcher, queued, gone = service.model.batcher, threading.Event(), threading.Event()
    enqueue = batcher.enqueue

    def slow_to_tell(*arguments: Any, **more: Any) -> Any:
        item = enqueue(*arguments, **more)
        queued.set()
        assert gone.wait(FAR)
        return item

    monkeypatch.setattr(batcher, "enqueue", slow_to_tell)
    client = service.post(50)
    await until(queued.is_set)
    client.leave()
    await asyncio.wait_for(client.done, FAR)
    gone.set()
    await until(lambda: batcher.queued == 0)
    assert await service.release(running) == [200]
    assert service.session.reds == [100]


async def test_a_message_that_is_no_disconnect_does_not_end_a_request(service: Service) -> None:
    (running,) = await service.busy()
    reads = running.reads
    running.send(b"")
    await until(lambda: running.reads == reads + 1)
    assert await service.release(running) == [200]


@pytest.mark.parametrize(("kind", "thread"), [("cpu", "tiny-slot"), ("cuda", "pictures")])
async def test_an_answer_is_finished_where_the_cpu_is(
    service: Service, monkeypatch: pytest.MonkeyPatch, kind: Kind, thread: str
) -> None:
    finish, threads = classify.finish, list[str]()

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return finish(*arguments)

    monkeypatch.setattr(classify, "finish", watched)
    model = dataclasses.replace(service.model, device=Device(kind, 1))
    monkeypatch.setitem(service.state.registry._models, "tiny", model)
    assert await service.release(service.post(50)) == [200]
    assert [name.startswith(thread) for name in threads] == [True]


async def test_an_oversight_costs_each_of_several_pictures_its_own_answer_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("an oversight")

    monkeypatch.setattr(inference, "Job", broken)
    body, content_type = _form([encoded((red, 0, 0)) for red in (20, 30)])
    answers = await Client(service.app, body, content_type).answer()
    assert [answer["status"] for answer in answers] == [500, 500]
    assert "oversight" not in str(answers)
    assert service.in_flight == 0


async def test_a_client_that_leaves_before_its_body_is_there_is_counted(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(service.app, encoded((50, 0, 0))[:20], complete=False)
    await until(lambda: client.reads == 2)
    client.leave()
    await asyncio.wait_for(client.done, FAR)
    assert service.count("cancelled_total") == 1
    assert service.in_flight == 0
    assert not complaints(caplog)


async def test_a_client_that_leaves_takes_all_its_pictures_along(service: Service) -> None:
    running = (await service.busy())[0]
    body, content_type = _form([encoded((red, 0, 0)) for red in (20, 30, 40)])
    several = Client(service.app, body, content_type)
    await until(lambda: service.model.batcher.queued == 3)
    assert service.in_flight == 4
    several.leave()
    await asyncio.wait_for(several.done, FAR)
    assert service.in_flight == 1
    assert service.model.batcher.queued == 0
    assert await service.release(running) == [200]
    assert service.session.reds == [100]


async def test_past_the_deadline_the_answer_is_504_whether_queued_or_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, timeout_s=0.5) as service:
        running, queued = await service.busy(2)
        for client in (running, queued):
            body = await client.answer()
            assert client.status == body["status"] == 504
            assert body["type"] == "urn:sightline:problem:late"
        assert service.count("late_total") == 2
        assert service.in_flight == 0
        assert service.model.batcher.queued == 0
        after = service.post(50)
        assert await service.release(after) == [200]
        assert service.session.reds == [100, 50]
        assert service.count("pictures_total", outcome="answered") == 1
        assert service.count("pictures_total", outcome="failed") == 0
    assert not complaints(caplog)


async def test_past_the_deadline_the_answer_is_504_while_decoding(
    tmp_path: Path, held_decoding: HeldDecoding
) -> None:
    async with serving(tmp_path, timeout_s=0.1) as service:
        client = service.post(50)
        await client.answer()
        assert client.status == 504
        held_decoding.free.set()
        await until(held_decoding.ended.is_set)
        assert service.count("late_total") == 1
    assert service.session.reds == []


async def test_a_full_service_says_so_before_it_reads_a_body(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_size=1) as service:
        inside = await service.busy(2)
        refused = service.post(50)
        body = await refused.answer()
        assert refused.status == body["status"] == 429
        assert body["type"] == "urn:sightline:problem:busy"
        assert refused.headers["retry-after"] == "1"
        assert refused.nothing_was_read
        assert service.count("rejected_total") == 1
        assert service.in_flight == 2
        assert await service.release(*inside) == [200, 200]
        after = service.post(60)
        assert await service.release(after) == [200]


async def test_a_service_that_filled_up_while_a_body_came_says_so_afterwards(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, queue_size=1) as service:
        picture = encoded((50, 0, 0))
        slow = Client(service.app, picture[:20], complete=False)
        await until(lambda: slow.reads == 2)
        inside = await service.busy(2)
        slow.send(picture[20:])
        assert (await slow.answer())["status"] == 429
        assert service.count("rejected_total") == 1
        assert await service.release(*inside) == [200, 200]
        assert service.session.reds == [100, 101]


async def test_more_pictures_at_once_than_will_ever_fit_are_too_large(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_size=1) as service:
        body, content_type = _form([encoded((red, 0, 0)) for red in (20, 30, 40)])
        client = Client(service.app, body, content_type)
        assert (await client.answer())["status"] == 413
        assert service.in_flight == 0


async def test_of_several_pictures_only_the_poisoned_fail(tmp_path: Path) -> None:
    async with serving(tmp_path, max_batch=8) as service:
        (running,) = await service.busy()
        reds = (20, 7, 40, 7, 60)
        body, content_type = _form([encoded((red, 200, 0)) for red in reds])
        several = Client(service.app, body, content_type)
        await until(lambda: service.model.batcher.queued == 5)
        service.session.free.set()
        answers = await several.answer()
        assert several.status == 200
        for red, answer in zip(reds, answers, strict=True):
            if red == 7:
                assert answer["status"] == 500
                assert answer["type"] == "urn:sightline:problem:inference-failed"
                assert set(answer) == {"type", "title", "status", "detail", "request_id"}
            else:
                scores = {p["label"]: p["score"] for p in answer["predictions"]}
                assert scores == pytest.approx(_scores((red, 200, 0)), abs=1e-5)
        assert service.count("pictures_total", outcome="failed") == 2
        await service.release(running)
        assert service.count("pictures_total", outcome="answered") == 4
        assert service.in_flight == 0


async def test_requests_at_the_same_time_each_get_their_own_answer(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    colours = [tuple(int(v) for v in random.integers(8, 256, 3)) for _ in range(60)]
    async with serving(tmp_path, slots=3, max_batch=4) as service:
        service.session.free.set()
        clients = [Client(service.app, encoded((r, g, b))) for r, g, b in colours]
        for client, colour in zip(clients, colours, strict=True):
            answer = await client.answer()
            scores = {p["label"]: p["score"] for p in answer["predictions"]}
            assert scores == pytest.approx(_scores(colour), abs=1e-5)
        assert service.in_flight == 0
        assert service.count("pictures_total", outcome="answered") == 60


async def test_a_task_that_breaks_on_one_picture_answers_500_and_logs_why(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finish = classify.finish

    def broken(inferred: Any, params: Any) -> Any:
        if inferred.outputs["logits"][0] > 5:
            raise ZeroDivisionError("an oversight")
        return finish(inferred, params)

    monkeypatch.setattr(classify, "finish", broken)
    service.session.free.set()
    body, content_type = _form([encoded((red, 0, 0)) for red in (20, 200)])
    good, bad = await Client(service.app, body, content_type).answer()
    assert good["predictions"][0]["label"] == "red"
    assert bad["status"] == 500
    assert "oversight" not in bad["detail"]
    alone = service.post(200)
    assert (await alone.answer())["type"] == "urn:sightline:problem:inference-failed"
    assert alone.status == 500
    assert "an oversight" in caplog.text
    assert service.count("pictures_total", outcome="failed") == 2


async def test_memory_running_out_while_decoding_fails_that_picture_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = images.decode

    def full(*_: Any) -> Any:
        raise MemoryError

    service.session.free.set()
    monkeypatch.setattr(job, "decode", full)
    unlucky = service.post(50)
    assert (await unlucky.answer())["status"] == 500
    monkeypatch.setattr(job, "decode", decode)
    assert await service.release(service.post(50)) == [200]


async def test_an_unexpected_error_is_a_problem_a_log_entry_and_a_counted_500(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("an oversight")

    monkeypatch.setattr(service.state.registry, "get", broken)
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        response = await http.post("/classify", content=encoded((1, 1, 1)))
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert "oversight" not in response.text
        metrics = (await http.get("/metrics")).text
    assert 'sightline_http_responses_total{route="/classify",status="500"} 1.0' in metrics


async def test_stopping_answers_what_is_queued(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        clients = await service.busy(3)
        closing = asyncio.create_task(service.state.registry.close())
        await asyncio.sleep(0)
        late = service.post(50)
        assert (await late.answer())["status"] == 503
        assert not closing.done()
        assert await service.release(*clients) == [200, 200, 200]
        await closing
        assert service.in_flight == 0


def _form(pictures: Sequence[bytes]) -> tuple[bytes, str]:
    request = httpx.Request(
        "POST", "http://test", files=[("file", ("x.png", picture)) for picture in pictures]
    )
    return request.read(), request.headers["content-type"]


def _scores(colour: Sequence[int]) -> dict[str, float]:
    logits = np.array(colour, np.float64) * 0.1
    exponentials = np.exp(logits - logits.max())
    return dict(zip(("red", "green", "blue"), exponentials / exponentials.sum(), strict=True))


PICTURES = {
    "good": encoded((1, 2, 3)),
    "no picture": b"no picture",
    "damaged": encoded((1, 2, 3))[:60],
    "poisoned": encoded((7, 0, 0)),
}


@pytest.mark.parametrize("path", ["/classify", "/detect", "/detect drawn", "/stylize drawn"])
@pytest.mark.parametrize("several", [1, 2])
@pytest.mark.parametrize("picture", PICTURES)
async def test_a_request_leaves_no_cycle_behind(
    models: Path,
    settings: Settings,
    path: str,
    several: int,
    picture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, _, drawn = path.partition(" ")
    headers = {"accept": "image/png, application/json;q=0.5" if drawn else "*/*"}
    files = [("file", PICTURES[picture])] * several
    if path == "/stylize" and several == 1:
        path += "?style=wave"
    elif path == "/stylize":
        files = [("content", PICTURES["good"]), ("style", PICTURES[picture])]
        monkeypatch.setattr(loading, "_RECALL_BYTES", 0)  # so that the style runs every time
    TinyDetector().write(models)
    TinyStylizer(poison=7).write(models)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for _ in range(3):
                await client.post(path, files=files, headers=headers)
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                for _ in range(20):
                    await client.post(path, files=files, headers=headers)
                gc.collect()
                kinds = {type(thing) for thing in gc.garbage}
                # Frames and tracebacks would hold the picture, or the body it came in.
                ours = {
                    kind
                    for kind in kinds
                    if kind.__module__.startswith(("service", "PIL")) or kind is FrameType
                }
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
    assert ours == set()
