"""Runs that do not end."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.registry import Registry
from service.watchdog import Watchdog


@dataclass
class Aged:
    """An upkeep whose oldest run is as old as the test says."""

    age_s: float = 0.0
    told: list[float] = field(default_factory=list)

    def oldest_s(self) -> float:
        return self.age_s

    def end(self, older_than_s: float) -> int:
        self.told.append(older_than_s)
        return 1


def watched(*ages: Aged) -> tuple[Watchdog, list[str]]:
    given_up: list[str] = []
    running: list[Any] = [
        SimpleNamespace(upkeep=aged, manifest=SimpleNamespace(name=f"m{index}"))
        for index, aged in enumerate(ages)
    ]
    registry = cast("Registry", SimpleNamespace(running=running))
    return Watchdog(registry, 10.0, given_up.append, obedience_s=5.0), given_up


def test_a_run_past_its_time_is_told_to_end_and_the_others_are_not() -> None:
    young, old = Aged(9.9), Aged(10.1)
    watchdog, given_up = watched(young, old)
    assert watchdog.look()
    assert (young.told, old.told, given_up) == ([], [10.0], [])


def test_a_run_that_does_not_obey_costs_the_process() -> None:
    watchdog, given_up = watched(Aged(), Aged(15.1))
    assert not watchdog.look()
    assert given_up == ["a run of model 'm1' does not end"]


async def test_the_watch_ends_with_the_process() -> None:
    watchdog, given_up = watched(Aged(15.1))
    await watchdog.watch()
    assert len(given_up) == 1


@pytest.mark.parametrize("age_s", [0.0, 5.0])
def test_runs_within_their_time_are_left_alone(age_s: float) -> None:
    watchdog, given_up = watched(Aged(age_s))
    assert watchdog.look()
    assert not given_up
