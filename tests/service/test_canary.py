"""The canary: real golden inputs through the models' own queues."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asgi import until
from conftest import encoded
from documented import client_of
from fabricate import Tiny, TinyDetector, TinyStylizer
from fastapi import FastAPI

from service import canary
from service.app import create_app
from service.batching import Batcher
from service.errors import InferenceError, NotReadyError
from service.settings import Settings

PATH = "/healthz/inference"
OTHER = TinyDetector().name


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root = tmp_path / "models"
    root.mkdir()
    Tiny().write(root)
    TinyDetector().write(root)
    TinyStylizer().write(root)
    return Settings(models=root, canary_timeout_s=60, cpus=1, slots=1, queue_size=1, max_batch=1)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as http:
        yield http


@pytest.fixture(autouse=True)
def always_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "FRESH_S", 0.0)
    monkeypatch.setattr(canary, "REST", 0.0)


def batcher_of(app: FastAPI, model: str) -> Batcher:
    batcher: Batcher = app.state.sightline.registry.models[model].batcher
    return batcher


class Stand:
    """Takes the place of a batcher's run, notes what is run, and does to it what a test wants."""

    def __init__(self, batcher: Batcher) -> None:
        self.roles: list[str] = []
        self.failure: Exception | None = None
        self.added = 0.0
        self.go = threading.Event()
        self.go.set()
        self._run = batcher._run
        batcher._run = self

    def __call__(self, role: str, items: Any, /, *, lone: bool) -> Any:
        self.roles.append(role)
        assert self.go.wait(60)
        if self.failure is not None:
            raise self.failure
        return [
            {name: array + np.asarray(self.added, array.dtype) for name, array in outputs.items()}
            for outputs in self._run(role, items, lone=lone)
        ]


async def test_every_graph_of_every_model_is_run_for_real(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    models = app.state.sightline.registry.models
    stands = {name: Stand(model.batcher) for name, model in models.items()}
    answer = (await client.get(PATH)).json()
    assert answer["models"].keys() == models.keys()
    for name, model in models.items():
        assert sorted(stands[name].roles) == sorted(model.manifest.graphs)
        assert answer["models"][name]["duration_ms"] > 0
        assert answer["models"][name]["deviation"] <= max(
            variants[model.precision].parity.tolerance
            for variants in model.manifest.graphs.values()
        )
    one = (await client.get(PATH, params={"model": "tiny"})).json()
    assert one["models"].keys() == {"tiny"}
    assert (await client.get(PATH, params={"model": "none"})).status_code == 404
    assert (await client.get(PATH, params={"model": "x" * 65})).status_code == 422


@pytest.mark.parametrize(
    ("failure", "added", "why"),
    [
        (InferenceError("the kernel is broken"), 0.0, "the kernel is broken"),
        (RuntimeError("a secret"), 0.0, "could not process this input"),
        (None, 1.0, "golden outputs differ by 1"),
        (None, float("nan"), "golden outputs differ by"),
    ],
)
async def test_a_model_that_fails_or_errs_is_named_until_it_recovers(
    app: FastAPI, client: httpx.AsyncClient, failure: Exception | None, added: float, why: str
) -> None:
    stand = Stand(batcher_of(app, "tiny"))
    stand.failure, stand.added = failure, added
    response = await client.get(PATH)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    detail = response.json()["detail"]
    assert detail.startswith("the canary failed: tiny: ")
    assert why in detail
    assert "secret" not in detail
    assert (await client.get(PATH, params={"model": OTHER})).status_code == 200
    stand.failure, stand.added = None, 0.0
    async with asyncio.timeout(60):
        while (await client.get(PATH)).status_code != 200:
            await asyncio.sleep(0.001)


async def test_a_model_that_does_not_answer_in_time_is_named(settings: Settings) -> None:
    application = create_app(settings.model_copy(update={"canary_timeout_s": 0.05}))
    async with application.router.lifespan_context(application), client_of(application) as client:
        await until(lambda: application.state.sightline.registry.ready)
        stand = Stand(batcher_of(application, "tiny"))
        stand.go.clear()
        try:
            response = await client.get(PATH, params={"model": "tiny"})
        finally:
            stand.go.set()
        assert response.status_code == 503
        assert "tiny: no answer within 0.05 s" in response.json()["detail"]


async def test_a_full_queue_makes_the_canary_neither_fail_nor_wait_for_all_of_it(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    stand = Stand(batcher_of(app, "tiny"))
    batcher = batcher_of(app, "tiny")
    stand.go.clear()
    picture, raw = encoded((200, 0, 0)), {"content-type": "image/png"}

    async def classify() -> int:
        return (await client.post("/classify", content=picture, headers=raw)).status_code

    running = [asyncio.create_task(classify())]
    await until(lambda: stand.roles)
    running.append(asyncio.create_task(classify()))
    await until(lambda: batcher.queued == 1)
    assert await classify() == 429
    asking = asyncio.create_task(client.get(PATH, params={"model": "tiny"}))
    await until(lambda: batcher.queued == 2)
    (bucket,) = batcher._waiting._buckets.values()
    assert [item.first for item in bucket] == [True, False]
    stand.go.set()
    assert (await asking).status_code == 200
    assert [await task for task in running] == [200, 200]


async def test_many_who_ask_at_once_share_one_round(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    stand = Stand(batcher_of(app, "tiny"))
    stand.go.clear()
    asking = [asyncio.create_task(client.get(PATH)) for _ in range(10)]
    await until(lambda: stand.roles)
    asking.pop().cancel()  # one who leaves takes nothing from the others
    stand.go.set()
    assert [(await each).status_code for each in asking] == [200] * 9
    assert len(stand.roles) == 1


async def test_results_are_told_again_while_fresh_and_as_long_as_the_models_are_the_same(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "FRESH_S", 3600.0)
    stand = Stand(batcher_of(app, "tiny"))
    assert (await client.get(PATH)).status_code == 200
    answer = (await client.get(PATH)).json()
    assert len(stand.roles) == 1
    assert answer["age_s"] >= 0
    registry = app.state.sightline.registry
    gone = registry._models.pop("detector", None) or registry._models.pop(
        next(iter(registry.models))
    )
    answer = (await client.get(PATH)).json()
    assert gone.manifest.name not in answer["models"]
    registry._models[gone.manifest.name] = gone


async def test_canaries_rest_ten_times_as_long_as_they_ran_unless_something_is_wrong(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "REST", 10.0)
    stand = Stand(batcher_of(app, "tiny"))
    began = time.monotonic()
    results = await app.state.sightline.canary.results()
    ran = results.ended - began
    assert 0 < results.until - results.ended <= 10 * ran
    stand.failure = InferenceError("broken")
    app.state.sightline.canary._results = None
    results = await app.state.sightline.canary.results()
    assert results.until - results.ended <= time.monotonic() - began


async def test_a_model_that_is_unloaded_meanwhile_is_left_out(app: FastAPI) -> None:
    await batcher_of(app, "tiny").close()
    results = await app.state.sightline.canary.results()
    assert "tiny" not in results.trials
    assert results.trials


async def test_without_a_model_no_canary_sings(tmp_path: Path) -> None:
    application = create_app(Settings(models=tmp_path))
    async with application.router.lifespan_context(application), client_of(application) as client:
        await until(lambda: application.state.sightline.registry.ready)
        response = await client.get(PATH)
        assert response.status_code == 503
        assert "no model" in response.json()["detail"]


async def test_before_models_are_loaded_there_is_no_canary(settings: Settings) -> None:
    application = create_app(settings)  # not started
    async with client_of(application) as client:
        response = await client.get(PATH)
    assert response.status_code == NotReadyError.status
    assert "still loading" in response.json()["detail"]
