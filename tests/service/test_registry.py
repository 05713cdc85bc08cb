"""Which models serve, which were refused, and which one a request means."""

import asyncio
import itertools
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

import httpx
import pytest
from fabricate import Tiny
from fastapi import FastAPI

from service.admission import Admission
from service.app import create_app
from service.device import Device
from service.errors import GraphError, NotFoundError, NotReadyError, OutOfMemoryError
from service.loading import Loader
from service.registry import Registry, model_folders
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Telemetry

Registries = Callable[..., Registry]


@pytest.fixture
async def registry_over(tmp_path: Path) -> AsyncIterator[Registries]:
    """Makes loaded registries over ``tmp_path`` and closes them."""
    made: list[Registry] = []

    def make(load: bool = True, cpus: int = 1, **settings: Any) -> Registry:
        chosen = Settings(models=tmp_path, **settings)
        loader = Loader(chosen, Device("cpu", cpus), TASKS, Telemetry(), in_service=Admission())
        registry = Registry(loader)
        made.append(registry)
        if load:
            registry.load_all()
        return registry

    yield make
    for registry in made:
        await registry.close()


def corrupt(folder: Path) -> None:
    (folder / "1/model.fp32.onnx").write_bytes(b"other")


def test_model_folders_are_those_with_a_manifest_by_name(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")
    assert [folder.name for folder in model_folders(tmp_path)] == ["a", "b"]
    assert model_folders(tmp_path / "missing") == []


def test_a_refused_model_is_named_with_its_reason_and_the_others_serve(
    tmp_path: Path, registry_over: Registries, caplog: pytest.LogCaptureFixture
) -> None:
    Tiny(name="good").write(tmp_path)
    corrupt(Tiny(name="bad").write(tmp_path))
    registry = registry_over()
    assert list(registry.models) == ["good"]
    assert set(registry.refused) == {"bad"}
    assert "graphs.main.fp32.sha256" in registry.refused["bad"]
    assert "refused model bad" in caplog.text
    assert registry.get("classify").manifest.name == "good"
    with pytest.raises(NotReadyError, match="'bad' was refused; see /readyz"):
        registry.get("classify", "bad")


def test_a_model_that_breaks_the_loader_itself_does_not_keep_the_others_from_serving(
    tmp_path: Path,
    registry_over: Registries,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Tiny(name="good").write(tmp_path)
    Tiny(name="bad").write(tmp_path)
    load = Loader.load

    def broken(self: Loader, folder: Path) -> Any:
        if folder.name == "bad":
            raise MemoryError("no room")
        return load(self, folder)

    monkeypatch.setattr(Loader, "load", broken)
    registry = registry_over()
    assert list(registry.models) == ["good"]
    assert "unexpected error" in registry.refused["bad"]
    assert "no room" in caplog.text


def test_models_that_were_unloaded_are_left_out(tmp_path: Path, registry_over: Registries) -> None:
    for name in ("a", "b"):
        Tiny(name=name).write(tmp_path)
    registry = registry_over(load=False)
    registry.load_all(without={"a", "other"})
    assert list(registry.models) == ["b"]


def test_what_fails_beside_others_is_tried_again_alone(
    tmp_path: Path, registry_over: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the arena has no room for two models' first runs at the same time."""
    names = ["a", "b", "c"]
    for name in names:
        Tiny(name=name).write(tmp_path)
    corrupt(Tiny(name="bad").write(tmp_path))
    load, calls, both = Loader.load, itertools.count(), threading.Barrier(2, timeout=30)

    def crowded(self: Loader, folder: Path) -> Any:
        if next(calls) < 2:
            both.wait()
            raise GraphError("no room for both") from OutOfMemoryError("none left")
        return load(self, folder)

    monkeypatch.setattr(Loader, "load", crowded)
    registry = registry_over(cpus=2)
    assert list(registry.models) == names
    assert list(registry.refused) == ["bad"]


def test_before_loading_nothing_is_ready(tmp_path: Path, registry_over: Registries) -> None:
    Tiny().write(tmp_path)
    registry = registry_over(load=False)
    with pytest.raises(NotReadyError, match="models are still loading"):
        registry.get("classify")
    with pytest.raises(NotReadyError, match="models are still loading"):
        registry.named("tiny")


async def test_after_closing_nothing_is_ready(tmp_path: Path, registry_over: Registries) -> None:
    Tiny().write(tmp_path)
    registry = registry_over()
    await registry.close()
    with pytest.raises(NotReadyError):
        registry.get("classify")


def test_without_models_the_task_is_not_ready_and_the_log_says_where_it_looked(
    tmp_path: Path, registry_over: Registries, caplog: pytest.LogCaptureFixture
) -> None:
    registry = registry_over()
    assert registry.ready
    assert str(tmp_path) in caplog.text
    with pytest.raises(NotReadyError, match="no model is loaded for task 'classify'"):
        registry.get("classify")
    with pytest.raises(NotFoundError, match="no model 'tiny'"):
        registry.named("tiny")


def test_a_model_is_found_by_name_for_its_own_task_only(
    tmp_path: Path, registry_over: Registries
) -> None:
    Tiny(name="a").write(tmp_path)
    Tiny(name="b", default=False).write(tmp_path)
    registry = registry_over()
    assert registry.get("classify", "b").manifest.name == "b"
    assert registry.named("b").manifest.name == "b"
    with pytest.raises(NotFoundError, match="no model 'c' for task 'classify'; there are: a, b"):
        registry.get("classify", "c")
    with pytest.raises(NotFoundError, match="no model 'a' for task 'detect'; there are: none"):
        registry.get("detect", "a")
    with pytest.raises(NotFoundError, match="no model 'c'; there are: a, b"):
        registry.named("c")


@pytest.mark.parametrize(
    ("marked", "wanted", "default"),
    [
        ({"a": False, "b": True}, None, "b"),
        ({"a": False, "b": False}, None, "a"),
        ({"a": True, "b": True}, None, "a"),
        ({"a": True, "b": False}, "b", "b"),
    ],
    ids=["the one marked", "the first", "the first marked", "the one set"],
)
def test_the_default_model_of_a_task(
    tmp_path: Path,
    registry_over: Registries,
    caplog: pytest.LogCaptureFixture,
    marked: dict[str, bool],
    wanted: str | None,
    default: str,
) -> None:
    for name, is_default in marked.items():
        Tiny(name=name, default=is_default).write(tmp_path)
    registry = registry_over(default_models={"classify": wanted} if wanted else {})
    assert registry.get("classify").manifest.name == default
    assert {n for n, m in registry.models.items() if registry.is_default(m)} == {default}
    several = "several default models" in caplog.text
    assert several == (list(marked.values()) == [True, True])


def test_a_marked_default_that_was_refused_leaves_its_place_to_another(
    tmp_path: Path, registry_over: Registries
) -> None:
    corrupt(Tiny(name="a", default=True).write(tmp_path))
    Tiny(name="b", default=False).write(tmp_path)
    assert registry_over().get("classify").manifest.name == "b"


def test_a_default_that_was_set_but_is_not_served_is_not_silently_replaced(
    tmp_path: Path, registry_over: Registries, caplog: pytest.LogCaptureFixture
) -> None:
    Tiny(name="a").write(tmp_path)
    corrupt(Tiny(name="b").write(tmp_path))
    for wanted, kind in (("b", NotReadyError), ("missing", NotFoundError)):
        registry = registry_over(default_models={"classify": wanted})
        with pytest.raises(kind, match=repr(wanted)):
            registry.get("classify")
        assert f"default_models names {wanted!r} for classify, which is not served" in caplog.text
        assert registry.get("classify", "a").manifest.name == "a"


async def started(application: FastAPI) -> None:
    while not application.state.sightline.registry.ready:
        await asyncio.sleep(0.005)


async def test_readyz_names_what_is_served_and_what_was_refused(tmp_path: Path) -> None:
    Tiny(name="good").write(tmp_path)
    bad = Tiny(name="bad").write(tmp_path)
    document = json.loads((bad / "manifest.json").read_text())
    del document["input"]["resize"]
    (bad / "manifest.json").write_text(json.dumps(document))
    application = create_app(Settings(models=tmp_path, device="cpu"))
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        await started(application)
        body = (await http.get("/readyz")).json()
        assert body["ready"] is True
        assert body["models"] == ["good"]
        assert "input.resize: Field required" in body["refused"]["bad"]
        response = await http.post("/classify?model=bad", content=b"x")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "refused" in response.json()["detail"]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.get("/readyz")).status_code == 503  # stopped


async def test_readyz_says_why_when_nothing_is_served(tmp_path: Path) -> None:
    corrupt(Tiny(name="bad").write(tmp_path))
    for models, why in (
        (tmp_path, "bad: bad: graphs.main.fp32.sha256"),
        (tmp_path / "none", "empty"),
    ):
        application = create_app(Settings(models=models, device="cpu"))
        transport = httpx.ASGITransport(application)
        async with (
            application.router.lifespan_context(application),
            httpx.AsyncClient(transport=transport, base_url="http://test") as http,
        ):
            await started(application)
            response = await http.get("/readyz")
            assert response.status_code == 503
            assert why in response.json()["detail"]
            assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_failure_of_loading_as_a_whole_is_logged_and_liveness_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load_all(_: Registry, __: Collection[str]) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Registry, "load_all", load_all)
    application = create_app(Settings(models=tmp_path, device="cpu"))
    transport = httpx.ASGITransport(application)
    with caplog.at_level(logging.CRITICAL):
        async with (
            application.router.lifespan_context(application),
            httpx.AsyncClient(transport=transport, base_url="http://test") as http,
        ):
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).status_code == 503
    assert "the disk is gone" in caplog.text
