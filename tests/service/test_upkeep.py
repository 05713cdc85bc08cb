"""Broken sessions: told from bad input, opened again, while everybody else goes on."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import encoded
from fabricate import Tiny
from fastapi import FastAPI

from service import upkeep
from service.errors import (
    DeviceLostError,
    GraphError,
    InferenceError,
    LateError,
    OutOfMemoryError,
    RecoveringError,
)
from service.loading import Model
from service.session import Arrays, Session
from service.upkeep import Upkeep

FAR = 60.0
ITEM: Arrays = {"x": np.zeros(1)}


@dataclass
class Fake:
    """A session that fails as the test says."""

    failure: Exception | None = None
    runs: int = 0

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        assert not lone
        self.runs += 1
        if self.failure is not None:
            raise self.failure
        return list(items)


@dataclass
class Record:
    """What was noted."""

    faults: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def fault(self, kind: str) -> None:
        self.faults.append(kind)

    def recovered(self, seconds: float) -> None:
        with self.changed:
            self.recoveries.append(seconds)
            self.changed.notify_all()


@dataclass
class Kept:
    """An upkeep over one fake session, and what it asked for."""

    canaries: list[Exception | None]
    openings: list[Exception | None] = field(default_factory=list)
    is_restarted: bool = False
    session: Fake = field(default_factory=Fake)
    record: Record = field(default_factory=Record)
    given_up: list[str] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.upkeep = Upkeep(
            "fake",
            {"main": self.session},
            reopen=self.reopen,
            canary=self.canary,
            record=self.record,
            give_up=self.given_up.append,
            is_restarted=self.is_restarted,
            recovery_s=2.3,
        )

    def canary(self, _: object) -> None:
        if (failure := self.canaries.pop(0)) is not None:
            raise failure

    def reopen(self) -> dict[str, Session]:
        assert self.go.wait(FAR)
        if self.openings and (failure := self.openings.pop(0)) is not None:
            raise failure
        return {"main": Fake()}

    def run(self, failure: Exception | None, count: int = 1) -> object:
        self.session.failure = failure
        return self.upkeep.run("main", [ITEM] * count, lone=False)

    def await_recovery(self) -> None:
        self.go.set()
        with self.record.changed:
            assert self.record.changed.wait_for(lambda: self.record.recoveries, FAR)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_LONGEST_PAUSE_S", 0.01)


def test_bad_input_is_the_inputs_fault_where_the_canary_still_works() -> None:
    kept = Kept(canaries=[None])
    for _ in range(3):  # one canary says it for all of them
        with pytest.raises(InferenceError):
            kept.run(InferenceError("no"))
    assert kept.record.faults == ["input"] * 3
    assert not kept.upkeep.is_recovering
    assert kept.run(None) == [ITEM]


def test_a_batch_that_fails_is_left_to_its_halves() -> None:
    kept = Kept(canaries=[])
    with pytest.raises(InferenceError):
        kept.run(InferenceError("no"), count=2)
    assert kept.record.faults == []


def test_broken_sessions_are_opened_again_while_the_model_says_when_to_come_back() -> None:
    kept = Kept(canaries=[GraphError("broken"), None])
    with pytest.raises(RecoveringError) as raised:
        kept.run(InferenceError("no"))
    assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "3")
    assert kept.upkeep.is_recovering
    before = kept.session.runs
    with pytest.raises(RecoveringError):
        kept.run(None)
    with pytest.raises(RecoveringError):
        kept.upkeep.check()
    assert kept.session.runs == before
    kept.await_recovery()
    kept.upkeep.check()
    assert kept.upkeep.sessions["main"] is not kept.session
    assert kept.run(InferenceError("of the old session")) == [ITEM]
    assert kept.record.faults == ["session"]
    assert len(kept.record.recoveries) == 1


def test_opening_is_tried_until_it_works() -> None:
    kept = Kept(
        canaries=[GraphError("broken"), GraphError("still"), None],
        openings=[GraphError("no file"), None, None],
    )
    with pytest.raises(RecoveringError):
        kept.run(InferenceError("no"))
    kept.await_recovery()
    assert kept.run(None) == [ITEM]
    assert kept.given_up == []


@pytest.mark.parametrize(
    ("is_restarted", "opens", "given_up"),
    [
        (True, True, ["model 'fake' does not recover"]),
        (True, False, []),  # a missing file is none the better for a new process
        (False, True, []),  # the other models would go, and nobody would bring them back
    ],
)
def test_a_process_ends_for_one_model_only_where_that_may_help(
    is_restarted: bool, opens: bool, given_up: list[str]
) -> None:
    broken = GraphError("broken")
    kept = Kept(
        canaries=[broken, *([broken] * 4 if opens else []), None],
        openings=[None if opens else broken] * 4,
        is_restarted=is_restarted,
    )
    with pytest.raises(RecoveringError):
        kept.run(InferenceError("no"))
    kept.await_recovery()
    assert kept.given_up == given_up


def test_a_lost_device_ends_the_process() -> None:
    kept = Kept(canaries=[])
    with pytest.raises(DeviceLostError):
        kept.run(DeviceLostError("no"), count=2)
    assert kept.given_up == ["the device failed in a run of model 'fake'"]
    assert kept.record.faults == ["device"]


def test_too_little_memory_is_no_broken_session_until_it_does_not_end() -> None:
    kept = Kept(canaries=[None, OutOfMemoryError("canary"), None])
    short = OutOfMemoryError("no")
    for _ in range(2):
        with pytest.raises(OutOfMemoryError):
            kept.run(short)
    assert kept.run(None) == [ITEM]  # which says that memory came back
    for _ in range(3):
        with pytest.raises(OutOfMemoryError):
            kept.run(short)
    assert len(kept.canaries) == 2
    kept.upkeep._passed_at = 0.0  # a while later
    for _ in range(2):
        with pytest.raises(OutOfMemoryError):
            kept.run(short)
    with pytest.raises(RecoveringError):
        kept.run(short)
    kept.await_recovery()
    assert kept.record.faults == ["memory"] * 8 + ["session"]


def test_a_run_that_was_ended_is_noted_as_hung() -> None:
    kept = Kept(canaries=[])
    with pytest.raises(LateError):
        kept.run(LateError("ended"))
    assert kept.record.faults == ["hung"]


def test_closing_ends_the_attempts() -> None:
    kept = Kept(canaries=[GraphError("broken")], openings=[GraphError("no file")] * 1_000_000)
    kept.go.set()
    with pytest.raises(RecoveringError):
        kept.run(InferenceError("no"))
    kept.upkeep.close()
    for thread in threading.enumerate():
        if thread.name == "fake-recovery":
            thread.join(FAR)
            assert not thread.is_alive()
    assert kept.upkeep.is_recovering


class Broken:
    """A session in which nothing runs any more."""

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:  # noqa: ARG002
        raise InferenceError("everything fails")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    Tiny().write(tmp_path)
    Tiny(name="other", default=False).write(tmp_path)
    return tmp_path


async def test_a_model_whose_session_breaks_answers_503_recovers_and_disturbs_nobody(
    app: FastAPI, client: httpx.AsyncClient, red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Model = app.state.sightline.registry.models["tiny"]
    assert isinstance(model.sessions, dict)
    go, reopen = threading.Event(), model.upkeep._reopen

    def held() -> object:
        assert go.wait(FAR)
        return reopen()

    monkeypatch.setattr(model.upkeep, "_reopen", held)

    async def classify(name: str, picture: bytes = red) -> httpx.Response:
        headers = {"content-type": "image/png"}
        return await client.post(f"/classify?model={name}", content=picture, headers=headers)

    async def value(metric: str) -> float:
        lines = (await client.get("/metrics")).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(metric))

    assert (await classify("tiny")).status_code == 200
    good = model.sessions["main"]
    model.sessions["main"] = Broken()
    first = await asyncio.gather(*(classify("tiny") for _ in range(8)))
    assert {response.status_code for response in first} == {503}
    for response in [*first, await classify("tiny")]:
        assert response.json()["type"] == "urn:sightline:problem:recovering"
        assert int(response.headers["retry-after"]) >= 1
    assert (await classify("other", encoded((0, 250, 0)))).status_code == 200
    recovering = 'sightline_recovering{model="tiny",task="classify"}'
    assert await value(recovering) == 1
    go.set()
    await reached(lambda: not model.upkeep.is_recovering)
    answer = await classify("tiny")
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == "red"
    assert model.sessions["main"] is not good
    assert await value(recovering) == 0
    assert await value('sightline_faults_total{kind="session"') == 1
    assert await value("sightline_recovery_seconds_count") == 1


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(FAR):
        while not condition():
            await asyncio.sleep(0.005)
