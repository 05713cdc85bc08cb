"""Which folders have changed and come to rest, and what is done about it."""

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asgi import until
from fabricate import Tiny, put

from service.admission import Admission
from service.device import Device
from service.loading import Loader, Model
from service.registry import Registry
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Telemetry
from service.watching import Watcher, watch


def folder(root: Path, name: str) -> Path:
    (root / name / "1").mkdir(parents=True)
    (root / name / "manifest.json").write_text("{}")
    (root / name / "1" / "model.onnx").write_bytes(b"graph")
    return root / name


def test_what_is_there_is_known_and_what_comes_is_told_once_it_rests(tmp_path: Path) -> None:
    folder(tmp_path, "known")
    watcher = Watcher(tmp_path)
    assert [watcher.settled(), watcher.settled()] == [[], []]
    new = folder(tmp_path, "new")
    assert watcher.settled() == []  # it may still be growing
    (new / "1" / "model.onnx").write_bytes(b"graph, and more of it")
    assert watcher.settled() == []
    assert watcher.settled() == ["new"]
    assert watcher.settled() == []


def test_every_kind_of_change_is_seen(tmp_path: Path) -> None:
    changing = folder(tmp_path, "a")
    graph, manifest = changing / "1" / "model.onnx", changing / "manifest.json"
    watcher = Watcher(tmp_path)

    def is_seen() -> bool:
        return [watcher.settled(), watcher.settled()] == [[], ["a"]]

    (changing / "1" / "vocabulary.txt").write_text("a")
    assert is_seen()
    graph.write_bytes(b"GRAPH")
    assert is_seen()
    times = os.stat(manifest)
    put(changing, "[]")  # as long as it was, and as old, as rsync and cp -p leave a file
    os.utime(manifest, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert is_seen()
    graph.unlink()
    assert is_seen()
    assert [watcher.settled(), watcher.settled()] == [[], []]


def test_a_folder_that_goes_is_not_told_and_is_new_when_it_comes_back(tmp_path: Path) -> None:
    going = folder(tmp_path, "a")
    watcher = Watcher(tmp_path)
    aside = tmp_path / ".a"
    going.rename(aside)
    assert [watcher.settled(), watcher.settled()] == [[], []]
    aside.rename(going)
    assert [watcher.settled(), watcher.settled()] == [[], ["a"]]


def test_hidden_folders_those_without_a_manifest_and_links_to_nowhere_are_passed_over(
    tmp_path: Path,
) -> None:
    watcher = Watcher(tmp_path / "models")  # which is not there yet
    folder(tmp_path / "models", ".incoming")
    (tmp_path / "models" / "half" / "1").mkdir(parents=True)
    (folder(tmp_path / "models", "a") / "1" / "gone").symlink_to("nowhere")
    assert [watcher.settled(), watcher.settled()] == [[], ["a"]]


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry over one model, whose folder is looked into all the time."""
    Tiny(name="a").write(tmp_path)
    settings = Settings(models=tmp_path)
    made = Registry(Loader(settings, Device("cpu", 1), TASKS, Telemetry(), in_service=Admission()))
    watcher = Watcher(tmp_path)
    made.load_all()
    watching = asyncio.create_task(watch(made, watcher, 0.01))
    yield made
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    await made.close()


async def test_models_that_are_put_there_are_loaded_and_newer_versions_take_their_place(
    tmp_path: Path, registry: Registry
) -> None:
    Tiny(name="b").write(tmp_path)
    await until(lambda: "b" in registry.models)
    Tiny(name="a", version="2").write(tmp_path)
    await until(lambda: registry.models["a"].manifest.version == "2")
    assert not registry.refused


async def test_a_bad_model_does_not_keep_those_beside_it_from_being_loaded(
    tmp_path: Path, registry: Registry
) -> None:
    for name in ("b", "c", "d"):
        Tiny(name=name).write(tmp_path / ".incoming")
    (tmp_path / ".incoming" / "b" / "golden.npz").write_bytes(b"other")
    for name in ("b", "c", "d"):
        (tmp_path / ".incoming" / name).rename(tmp_path / name)
    await until(lambda: {"c", "d"} <= registry.models.keys())
    assert set(registry.refused) == {"b"}


async def test_a_folder_that_is_copied_slowly_manifest_first_is_served_in_the_end(
    tmp_path: Path, registry: Registry
) -> None:
    whole = Tiny(name="b").write(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    copied = tmp_path / "b"
    (copied / "1").mkdir(parents=True)
    for file in ("manifest.json", "golden.npz"):
        shutil.copy(whole / file, copied / file)
        await until(lambda: "b" in registry.refused)
    graph = (whole / "1" / "model.fp32.onnx").read_bytes()
    (copied / "1" / "model.fp32.onnx").write_bytes(graph[:100])
    await until(lambda: "sha256" in registry.refused.get("b", ""))
    (copied / "1" / "model.fp32.onnx").write_bytes(graph)
    await until(lambda: "b" in registry.models)
    assert not registry.refused


async def test_a_bad_version_is_refused_once_and_what_served_goes_on(
    tmp_path: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    served = registry.models["a"]
    folder = Tiny(name="a", version="2").write(tmp_path)
    (folder / "2" / "golden.npz").write_bytes(b"other")
    await until(lambda: "golden.sha256" in registry.refused.get("a", ""))
    assert registry.get("classify", "a") is served
    await asyncio.sleep(0.1)
    assert caplog.text.count("refused model a") == 1


async def test_what_was_unloaded_stays_so_until_its_folder_changes(
    tmp_path: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    await registry.unload("a")
    os.utime(tmp_path / "a")  # the folder itself says nothing
    await asyncio.sleep(0.1)
    assert "a" not in registry.models
    os.utime(tmp_path / "a" / "manifest.json")
    await until(lambda: "a" in registry.models)
    before = registry.models["a"]
    with caplog.at_level(logging.INFO, "service.watching"):
        os.utime(tmp_path / "a" / "manifest.json")  # while it serves, only new content counts
        await asyncio.sleep(0.1)
    assert registry.models["a"] is before
    assert "has changed" not in caplog.text


async def test_what_there_was_no_place_for_in_the_queue_is_loaded_later(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.registry._MAX_WAITING", 0)
    asked = list[str]()
    load = registry.load

    async def watched(name: str) -> Model:
        asked.append(name)
        return await load(name)

    monkeypatch.setattr(registry, "load", watched)
    Tiny(name="b").write(tmp_path)
    await until(lambda: len(asked) == 2)
    monkeypatch.setattr("service.registry._MAX_WAITING", 1)
    await until(lambda: "b" in registry.models)


async def test_a_folder_that_cannot_be_looked_into_is_looked_into_again(
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settled, failures = Watcher.settled, iter([OSError("the disk is gone")])

    def fail_once(self: Watcher) -> list[str]:
        for error in failures:
            raise error
        return settled(self)

    monkeypatch.setattr(Watcher, "settled", fail_once)
    await until(lambda: "the disk is gone" in caplog.text)
    Tiny(name="b").write(tmp_path)
    await until(lambda: "b" in registry.models)
