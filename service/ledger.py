"""What all workers have counted, those that are gone among them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
)

from service.channel import Collected
from service.exposition import added_up, lasting
from service.telemetry import ADDED

_SECONDS = (0.5, 1, 2, 3, 5, 7.5, 10, 20, 30, 60, 120)
_ME = "supervisor"


class Ledger:
    """Adds up the workers' metrics for the supervisor, and has a few of its own.

    Used in one event loop. A worker that is killed takes with it what it counted since its last
    report, a few seconds ago.
    """

    def __init__(self, accepting: Callable[[], int], spare: Callable[[], int]) -> None:
        """No worker has reported yet.

        Args:
            accepting: how many workers accept connections.
            spare: how many are loaded and wait to take another's place.
        """
        self._reports: dict[int, list[Metric]] = {}
        self._gone: list[Metric] = []
        self._rounds: dict[int, tuple[set[int], asyncio.Event]] = {}
        self._process, self._own = CollectorRegistry(), CollectorRegistry()
        ProcessCollector(registry=self._process)
        workers = Gauge("sightline_workers", "Workers that accept connections.", registry=self._own)
        workers.set_function(accepting)
        spares = Gauge(
            "sightline_spare_workers",
            "Workers that are loaded and wait to take another's place.",
            registry=self._own,
        )
        spares.set_function(spare)
        self.restarts = Counter(
            "sightline_worker_restarts",
            "Workers that ended by themselves: died, or hung and were killed.",
            ("reason",),
            registry=self._own,
        )
        self.recovery = Histogram(
            "sightline_worker_recovery_seconds",
            "From a worker's end to another one that accepts connections in its place.",
            buckets=_SECONDS,
            registry=self._own,
        )
        for reason in ("died", "hung"):
            self.restarts.labels(reason)

    def report(self, worker: int, collected: Collected) -> None:
        """Take a worker's metrics in place of those it told before."""
        self._reports[worker] = collected.metrics
        pending, done = self._rounds.get(collected.number, (set(), None))
        pending.discard(worker)
        if done is not None and not pending:
            done.set()

    def depart(self, worker: int) -> None:
        """Keep what a worker that is gone has counted."""
        counted = lasting(self._reports.pop(worker, []))
        self._gone = added_up({"": self._gone, _ME: counted})
        for pending, done in self._rounds.values():
            pending.discard(worker)
            if not pending:
                done.set()

    def rename(self, worker: int, to: int) -> None:
        """Take a worker that has reported for another one from now on."""
        self._reports[to] = self._reports.pop(worker, [])
        for pending, _ in self._rounds.values():
            if worker in pending:
                pending.remove(worker)
                pending.add(to)

    async def collected(self, number: int, workers: Iterable[int], timeout_s: float) -> None:
        """Wait until all ``workers`` have reported in this round, but no longer than that."""
        pending, done = set(workers), asyncio.Event()
        self._rounds[number] = pending, done
        with contextlib.suppress(TimeoutError):
            if pending:
                await asyncio.wait_for(done.wait(), timeout_s)
        del self._rounds[number]

    def metrics(self) -> list[Metric]:
        """The whole service's metrics."""
        sets = {str(worker): metrics for worker, metrics in sorted(self._reports.items())}
        sets |= {"": self._gone, _ME: list(self._process.collect())}
        return [*added_up(sets, ADDED), *self._own.collect()]
