"""Models that come and go while requests are answered."""

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi import FAR, Client, until
from conftest import encoded
from fabricate import Tiny, TinyCaptioner, TinyStylizer, put
from fastapi import FastAPI

from service.app import create_app
from service.contract import read_manifest
from service.errors import BusyError, GraphError, NotFoundError, NotReadyError, SightlineError
from service.loading import Loader, Model
from service.presets import read_presets
from service.registry import Registry
from service.settings import Settings
from service.vocabulary import read_vocabulary

RED = encoded((250, 0, 0))


class Service:
    """An application over a tiny model, with another version of it at hand."""

    def __init__(self, app: FastAPI, root: Path) -> None:
        self.app, self.root = app, root
        self.registry: Registry = app.state.sightline.registry
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    def version(self, version: str) -> None:
        """Put a version into the folder: the second one calls its labels in German."""
        Tiny(version=version, labels=("rot", "grün", "blau"), gain=0.05).write(self.root)

    async def classify(self) -> tuple[str, str]:
        """The version that answers, and the label it gives to red."""
        return self.read(await Client(self.app, RED).answer())

    def read(self, answer: Any) -> tuple[str, str]:
        return answer["model"]["version"], answer["predictions"][0]["label"]

    async def metric(self, line: str) -> float:
        found = [
            each
            for each in (await self.http.get("/metrics")).text.splitlines()
            if each.startswith(f"sightline_{line}")
        ]
        assert found, line
        return sum(float(each.rsplit(" ", 1)[1]) for each in found)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The first version serves."""
    Tiny().write(tmp_path)
    app = create_app(Settings(models=tmp_path, device="cpu", cpus=1))
    async with app.router.lifespan_context(app):
        running = Service(app, tmp_path)
        async with running.http:
            await until(lambda: running.registry.ready)
            yield running


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Loads that wait, once begun, for a release each."""
    load, go = Loader.load, threading.Semaphore(0)

    def wait(self: Loader, folder: Path) -> Model:
        assert go.acquire(timeout=FAR)
        return load(self, folder)

    monkeypatch.setattr(Loader, "load", wait)
    try:
        yield go
    finally:
        go.release(100)


async def test_a_new_version_takes_the_place_of_the_one_before(service: Service) -> None:
    assert await service.classify() == ("1", "red")
    service.version("2")
    model = await service.registry.load("tiny")
    assert model is service.registry.models["tiny"]
    assert await service.classify() == ("2", "rot")
    assert await service.metric('model_version{model="tiny",task="classify"}') == 2
    assert await service.metric('model_loads_total{model="tiny",outcome="loaded"}') == 2
    assert await service.metric('model_load_seconds_count{model="tiny"}') == 2


async def test_a_request_whose_body_still_comes_is_answered_by_the_version_it_began_with(
    service: Service,
) -> None:
    slow = Client(service.app, RED[:20], complete=False)
    before = service.registry.models["tiny"]
    await until(lambda: before.leases.count == 1)
    service.version("2")
    await service.registry.load("tiny")
    assert await service.classify() == ("2", "rot")
    assert await service.metric("models_draining") == 1
    slow.send(RED[20:])
    assert service.read(await slow.answer()) == ("1", "red")
    await until(lambda: not service.registry._draining)
    assert await service.metric("models_draining") == 0


async def test_what_is_queued_is_run_by_the_version_it_was_queued_for_and_counted_until_then(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, began, go = service.registry.models["tiny"], threading.Event(), threading.Event()
    run = before.sessions["main"].run

    def wait(items: Any, *, lone: bool = False) -> Any:
        began.set()
        assert go.wait(FAR)
        return run(items, lone=lone)

    monkeypatch.setattr(before.sessions["main"], "run", wait)
    waiting = [Client(service.app, RED)]
    await until(began.is_set)
    waiting += [Client(service.app, RED) for _ in range(4)]
    await until(lambda: before.batcher.queued == 4)
    service.version("2")
    await service.registry.load("tiny")
    assert await service.metric("queued") == 4
    assert await service.metric("in_flight") == 5
    assert await service.classify() == ("2", "rot")
    go.set()
    answers = [service.read(await client.answer()) for client in waiting]
    assert answers == [("1", "red")] * 5
    assert await service.metric("in_flight") == await service.metric("queued") == 0


async def test_a_bad_version_is_refused_and_a_good_one_later_clears_it(service: Service) -> None:
    good = (service.root / "tiny" / "manifest.json").read_text()
    put(service.root / "tiny", good.replace('"classify"', '"dream"'))
    with pytest.raises(SightlineError, match="'dream' is none of"):
        await service.registry.load("tiny")
    readiness = (await service.http.get("/readyz")).json()
    assert readiness["models"] == ["tiny"]
    assert "'dream'" in readiness["refused"]["tiny"]
    assert await service.classify() == ("1", "red")
    assert await service.metric('model_refused{model="tiny"}') == 1
    assert await service.metric('model_loads_total{model="tiny",outcome="refused"}') == 1
    put(service.root / "tiny", good)
    await service.registry.load("tiny")
    assert not service.registry.refused
    assert await service.metric('model_refused{model="tiny"}') == 0


async def test_golden_outputs_that_do_not_come_back_refuse_a_version(service: Service) -> None:
    service.version("2")
    folder = service.root / "tiny"
    manifest = read_manifest(folder)
    Tiny(name="other", version="2", gain=0.3).write(service.root)
    graph = service.root / "other" / "2" / "model.fp32.onnx"
    (folder / "2" / "model.fp32.onnx").write_bytes(graph.read_bytes())
    other = read_manifest(service.root / "other").graphs["main"]["fp32"].sha256
    ours = manifest.graphs["main"]["fp32"].sha256
    put(folder, (folder / "manifest.json").read_text().replace(ours, other))
    with pytest.raises(GraphError, match="golden outputs differ"):
        await service.registry.load("tiny")
    assert await service.classify() == ("1", "red")


async def test_an_oversight_of_the_loader_is_told_as_such_and_costs_nothing_else(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(Loader, "load", broken)
    with pytest.raises(SightlineError, match="an unexpected error") as raised:
        await service.registry.load("tiny")
    assert raised.value.status == 500
    assert await service.classify() == ("1", "red")


async def test_unloading_finishes_requests_and_takes_no_new_ones(service: Service) -> None:
    slow = Client(service.app, RED[:20], complete=False)
    before = service.registry.models["tiny"]
    await until(lambda: before.leases.count == 1)
    unloading = asyncio.create_task(service.registry.unload("tiny"))
    await until(lambda: not service.registry.models)
    refused = Client(service.app, RED)
    await refused.answer()
    assert refused.status == 503
    assert not unloading.done()
    slow.send(RED[20:])
    assert service.read(await slow.answer()) == ("1", "red")
    await unloading
    assert await service.metric('model_version{model="tiny",task="classify"}') == 0
    with pytest.raises(NotFoundError, match="no model 'tiny'"):
        await service.registry.unload("tiny")
    await service.registry.load("tiny")
    assert await service.classify() == ("1", "red")


async def test_what_was_refused_can_be_unloaded_so_that_it_is_told_no_more(
    service: Service,
) -> None:
    put(service.root / "tiny", "{}")
    with pytest.raises(SightlineError):
        await service.registry.load("tiny")
    await service.registry.unload("tiny")
    assert not service.registry.refused
    assert not service.registry.models


async def test_defaults_follow_what_serves(service: Service) -> None:
    def default() -> str:
        return service.registry.get("classify").manifest.name

    Tiny(name="a", default=False).write(service.root)
    await service.registry.load("a")
    assert list(service.registry.models) == ["a", "tiny"]
    assert default() == "tiny"
    await service.registry.unload("tiny")
    assert default() == "a"
    await service.registry.load("tiny")
    assert default() == "tiny"
    for name in ("a", "tiny"):
        await service.registry.unload(name)
    with pytest.raises(NotReadyError, match="no model is loaded for task 'classify'"):
        default()


@pytest.mark.parametrize("name", ["missing", "..", "", "a/b", "Tiny", "tiny\n", "x" * 65])
async def test_only_a_model_folder_is_loaded(service: Service, name: str) -> None:
    with pytest.raises(NotFoundError):
        await service.registry.load(name)
    assert not service.registry.refused
    assert "missing" not in (await service.http.get("/metrics")).text


async def test_loads_take_turns_and_those_that_wait_for_one_model_are_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    Tiny(name="a").write(service.root)
    with held(monkeypatch) as go:
        first = asyncio.create_task(service.registry.load("tiny"))
        await until(lambda: has_begun(service.registry))
        later = [asyncio.create_task(service.registry.load("tiny")) for _ in range(3)]
        other = asyncio.create_task(service.registry.load("a"))
        unloading = asyncio.create_task(service.registry.unload("tiny"))
        await until(lambda: len(service.registry._waiting) == 2)
        later[0].cancel()  # who asked may leave
        assert await service.classify() == ("1", "red")
        go.release()
        loaded = await first
        go.release()
        again = await later[1]
        assert again is not loaded
        assert await later[2] is again
        go.release()
        await asyncio.gather(other, unloading)
    assert list(service.registry.models) == ["a"]
    assert await service.metric("model_loads_total") == 4


async def test_too_many_loads_that_wait_are_busy(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.registry._MAX_WAITING", 1)
    with held(monkeypatch):
        first = asyncio.create_task(service.registry.load("tiny"))
        await until(lambda: has_begun(service.registry))
        second = asyncio.create_task(service.registry.load("tiny"))
        await until(lambda: service.registry._waiting)
        with pytest.raises(BusyError):
            await service.registry.load("a")
    await asyncio.gather(first, second)


async def test_stopping_ends_the_load_under_way_and_refuses_the_rest(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Client(service.app, RED[:20], complete=False)
    before = service.registry.models["tiny"]
    of_others = slots() - set(before.batcher._threads)
    await until(lambda: before.leases.count == 1)
    await service.registry.load("tiny")  # so that one drains
    with held(monkeypatch) as go:
        loads = [asyncio.create_task(service.registry.load("tiny"))]
        await until(lambda: has_begun(service.registry))
        loads.append(asyncio.create_task(service.registry.load("tiny")))
        await until(lambda: service.registry._waiting)
        closing = asyncio.create_task(service.registry.close())
        await until(lambda: service.registry._closing)
        go.release()
        await asyncio.wait_for(closing, FAR)
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotReadyError] * 2
    with pytest.raises(NotReadyError):
        await service.registry.load("tiny")
    await until(lambda: slots() <= of_others)
    slow.leave()
    await slow.done


def has_begun(registry: Registry) -> bool:
    """Whether a load is under way and none waits."""
    return registry._turn.locked() and not registry._waiting


def slots() -> set[threading.Thread]:
    """The threads that run the tiny model, other tests' among them."""
    return {each for each in threading.enumerate() if each.name.startswith("tiny-slot")}


async def test_models_that_went_leave_nothing_behind(tmp_path: Path) -> None:
    root, of_others = tmp_path / "models", slots()
    TinyStylizer().write(root)
    TinyCaptioner().write(root)
    Tiny().write(root)
    app = create_app(Settings(models=root, device="cpu", cpus=2))
    async with app.router.lifespan_context(app):  # at its start all that lives is frozen
        service = Service(app, root)
        await until(lambda: service.registry.ready)
        await until(lambda: gc.get_freeze_count())
        names = list(service.registry.models)

        def parts() -> list[weakref.ref[Any]]:
            return [
                weakref.ref(part)
                for model in service.registry.models.values()
                for part in (model, model.batcher, model.recall, *model.sessions.values())
            ]

        async def use() -> None:
            for path in ("/classify", "/caption", "/stylize?style=wave"):
                client = Client(app, RED, path=path.partition("?")[0], query=path[9:])
                await client.answer()
                assert client.status == 200

        dead, held = parts(), None
        for turn in range(10):
            await use()
            for name in names:
                await service.registry.load(name)
            await until(lambda: not service.registry._changes)
            assert not [ref() for ref in dead if ref() is not None], turn
            dead = parts()
            held = held or (threading.active_count(), descriptors())  # all pools have threads now
        # Pools may still have had a thread to start; a leak would be one for each swap.
        assert held is not None
        assert threading.active_count() <= held[0] + 3
        assert descriptors() == held[1]
        await use()
        for name in names:
            await service.registry.unload(name)
        assert not [ref() for ref in dead if ref() is not None]
        assert slots() <= of_others
        assert read_presets.cache_info().currsize == read_vocabulary.cache_info().currsize == 0
        await service.http.aclose()


def descriptors() -> int:
    """Open files, where the system tells."""
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


async def test_a_style_that_is_remembered_is_remembered_by_the_model_that_ran_it(
    tmp_path: Path,
) -> None:
    TinyStylizer().write(tmp_path)
    app = create_app(Settings(models=tmp_path, device="cpu", cpus=1))
    async with app.router.lifespan_context(app):
        service = Service(app, tmp_path)
        async with service.http:
            await until(lambda: service.registry.ready)
            for _ in range(2):
                (model,) = service.registry.models.values()
                assert model.recall.held == 0
                files = {"content": RED, "style": encoded((0, 90, 30))}
                assert (await service.http.post("/stylize", files=files)).status_code == 200
                assert model.recall.held > 0
                await service.registry.load(model.manifest.name)


def test_the_manifests_of_two_versions_are_the_only_thing_they_share(tmp_path: Path) -> None:
    first = json.loads((Tiny().write(tmp_path) / "manifest.json").read_text())
    second = json.loads((Tiny(version="2").write(tmp_path) / "manifest.json").read_text())
    assert first["golden"]["file"] != second["golden"]["file"]
