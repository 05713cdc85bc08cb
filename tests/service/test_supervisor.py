"""The supervisor over processes that behave as the test says; no application among them."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service import supervisor
from service.channel import UNUSABLE, Loaded, Sign, framed
from service.findings import Findings
from service.settings import Settings
from service.supervisor import Supervisor, listening

FAR = 60.0

#: A worker in a few lines: ``how`` it behaves, by the number of processes that came before it.
WORKER = """
import os, signal, socket, sys, time
folder, hows, life, loaded, accepting = sys.argv[1:6]
_, end = (socket.socket(fileno=int(number)) for number in sys.argv[6:])
life, loaded, accepting = (bytes.fromhex(sign) for sign in (life, loaded, accepting))
hows = hows.split(",")
for turn in range(1000):
    try:
        os.close(os.open(f"{folder}/{turn}", os.O_CREAT | os.O_EXCL))
        break
    except FileExistsError:
        pass
how = hows[min(turn, len(hows) - 1)]
with open(f"{folder}/{turn}", "w") as file:
    file.write(str(os.getpid()))
if how.isdecimal():
    sys.exit(int(how))
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
end.recv(1 << 20)  # what it is to be
end.sendall(life)
if how != "slow":
    end.sendall(loaded)
    end.recv(1 << 20)  # that it may accept
    end.sendall(accepting)
while how != "mute":
    end.sendall(life)
    time.sleep(0.02)
time.sleep(1000)
"""


@dataclass
class Run:
    """A supervisor at work."""

    supervisor: Supervisor
    task: asyncio.Task[int]
    folder: Path

    def pids(self) -> list[int]:
        """Of all workers there have been, in the order they began."""
        files = sorted(self.folder.iterdir(), key=lambda path: int(path.name))
        return [int(text) for text in (file.read_text() for file in files) if text]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(FAR):
            while not condition():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.01)

    async def accepting(self, count: int) -> None:
        workers = self.supervisor._workers
        await self.until(lambda: sum(w.is_accepting for w in workers.values()) == count)

    async def status(self) -> int:
        return await asyncio.wait_for(self.task, FAR)

    def sample(self, name: str) -> float:
        samples = (s for metric in self.supervisor._ledger.metrics() for s in metric.samples)
        return sum(sample.value for sample in samples if sample.name == name)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervisor, "_GLANCE_S", 0.01)
    monkeypatch.setattr(supervisor, "_LAST_S", 0.1)


@asynccontextmanager
async def supervised(folder: Path, hows: str, **settings: float) -> AsyncIterator[Run]:
    messages = (Sign("life"), Loaded(Findings()), Sign("accepting"))
    signs = [framed(message).hex() for message in messages]
    command = [sys.executable, "-S", "-c", WORKER, str(folder), hows, *signs]
    with listening("127.0.0.1", 0) as listener:
        ours = {"workers": 2, "spare_workers": 0, "shutdown_grace_s": 30.0}
        chosen = Settings(**{**ours, **settings})  # type: ignore[arg-type]
        one = Supervisor(chosen, listener, command)
        run = Run(one, asyncio.create_task(one.run()), folder)
        try:
            yield run
        finally:
            if not run.task.done():
                one._stop(signal.SIGKILL)
            await run.status()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_passed_on_and_is_a_clean_end(tmp_path: Path, signum: int) -> None:
    async with supervised(tmp_path, "good") as run:
        await run.accepting(2)
        port = run.supervisor._listener
        os.kill(os.getpid(), signum)
        assert await run.status() == 0
        assert port.fileno() == -1
        for pid in run.pids():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_a_worker_that_is_killed_is_replaced_and_the_time_is_told(tmp_path: Path) -> None:
    async with supervised(tmp_path, "good") as run:
        await run.accepting(2)
        os.kill(run.pids()[0], signal.SIGKILL)
        await run.until(lambda: len(run.pids()) == 3)
        await run.accepting(2)
        assert run.sample("sightline_worker_restarts_total") == 1
        assert run.sample("sightline_worker_recovery_seconds_count") == 1
        assert run.sample("sightline_workers") == 2


async def test_a_spare_takes_the_place_of_one_that_is_killed_and_gets_a_successor(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, "good", spare_workers=1) as run:
        await run.accepting(2)
        await run.until(lambda: run.sample("sightline_spare_workers") == 1)
        workers, (spare,) = run.supervisor._workers, run.supervisor._spares.values()
        assert not spare.is_accepting
        assert len(run.pids()) == 3
        os.kill(run.pids()[0], signal.SIGKILL)
        await run.until(lambda: spare in workers.values())
        await run.accepting(2)
        assert run.sample("sightline_worker_recovery_seconds_count") == 1
        await run.until(lambda: run.sample("sightline_spare_workers") == 1)
        assert len(run.pids()) == 4
        assert run.sample("sightline_workers") == 2
        os.kill(os.getpid(), signal.SIGTERM)
        assert await run.status() == 0


async def test_a_spare_that_dies_costs_nothing_and_is_replaced(tmp_path: Path) -> None:
    async with supervised(tmp_path, "good,good,1,1,good", spare_workers=1) as run:
        await run.until(lambda: run.sample("sightline_spare_workers") == 1)
        assert len(run.pids()) == 5
        assert run.sample("sightline_worker_restarts_total") == 2
        assert run.sample("sightline_workers") == 2


async def test_a_spare_waits_until_all_that_serve_are_loaded(tmp_path: Path) -> None:
    async with supervised(tmp_path, "slow,good", spare_workers=1) as run:
        await run.until(lambda: any(w.is_loaded for w in run.supervisor._workers.values()))
        await asyncio.sleep(0.1)
        assert len(run.pids()) == 2
        assert not run.supervisor._spares


async def test_a_worker_that_says_nothing_any_more_is_killed_and_replaced(tmp_path: Path) -> None:
    async with supervised(tmp_path, "mute,good", worker_timeout_s=0.3) as run:
        await run.until(lambda: len(run.pids()) == 3)
        await run.accepting(2)
        assert run.sample("sightline_worker_restarts_total") == 1
        restarts = run.supervisor._ledger.restarts
        assert restarts.labels("hung")._value.get() == 1


async def test_workers_that_die_at_every_start_end_the_service(tmp_path: Path) -> None:
    async with supervised(tmp_path, "1") as run:
        assert await run.status() == 1
        each = supervisor.MOST_FAILED_STARTS
        assert 2 * each <= len(run.pids()) <= 2 * each + 10


async def test_a_start_that_would_fail_again_ends_the_service_at_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, str(UNUSABLE)) as run:
        assert await run.status() == 1
        assert len(run.pids()) <= 3


async def test_one_that_serves_is_kept_although_the_other_cannot_be_started(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, "good,1") as run:
        await run.until(lambda: len(run.pids()) > 2 * supervisor.MOST_FAILED_STARTS)
        await run.accepting(1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await run.status() == 0


async def test_pauses_between_starts_double(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    wait_for = asyncio.wait_for

    async def noting(awaited: object, timeout_s: float) -> object:
        pauses.append(timeout_s)
        return await wait_for(awaited, timeout_s)  # type: ignore[arg-type]

    monkeypatch.setattr(supervisor.asyncio, "wait_for", noting)  # type: ignore[attr-defined]
    async with supervised(tmp_path, "1", workers=1) as run:
        await run.task
    assert pauses[:4] == [0.001, 0.002, 0.004, 0.008]


async def test_one_that_does_not_stop_is_killed_in_the_end(tmp_path: Path) -> None:
    async with supervised(tmp_path, "stubborn,good", shutdown_grace_s=0.2) as run:
        await run.accepting(2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await run.status() == 1


class Told:
    """Notes which worker was sent something."""

    def __init__(self, told: list[int], number: int) -> None:
        self._told, self._number = told, number

    def __call__(self, message: object) -> None:
        assert message == Sign("accept")
        self._told.append(self._number)


async def test_the_others_wait_for_the_one_that_accepts_while_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervised(tmp_path, "slow,good") as run:
        await run.until(lambda: len(run.pids()) == 2)
        workers = run.supervisor._workers
        await run.until(lambda: any(worker.is_loaded for worker in workers.values()))
        told: list[int] = []
        for number, worker in workers.items():
            worker.is_early = not worker.is_loaded
            monkeypatch.setattr(worker.channel, "send", Told(told, number))
        run.supervisor._let_accept()
        assert told == []
        early = next(worker for worker in workers.values() if worker.is_early)
        early.is_loaded = True
        run.supervisor._let_accept()
        assert sorted(told) == [0, 1]


def test_a_port_in_use_is_named() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
            listening("127.0.0.1", port)


def test_ipv6_and_names_are_addresses_too() -> None:
    for host in ("localhost", *(["::1"] if socket.has_dualstack_ipv6() else [])):
        with listening(host, 0) as listener:
            assert listener.getsockname()[1] > 0
