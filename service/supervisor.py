"""Several workers behind one port: started, watched, replaced, stopped together.

The supervisor binds the port and gives the socket to every worker; a connection goes to whichever
worker accepts it first. It serves nothing itself, so that there is little in it to fail.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from service import server
from service.channel import (
    UNUSABLE,
    Assignment,
    Collect,
    Collected,
    Done,
    Loaded,
    Message,
    Order,
    Scrape,
    Scraped,
    Sign,
)
from service.findings import Findings
from service.ledger import Ledger
from service.rollout import Rollout
from service.settings import Settings
from service.share import shares
from service.worker_process import COMMAND, WorkerProcess

log = logging.getLogger(__name__)

#: Failed starts in a row, of every worker and with none serving, after which the service ends.
MOST_FAILED_STARTS = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: A worker that lived for so long did not die of its start.
_SETTLED_S = 10.0
#: Beyond the grace, for a worker to end by itself.
_LAST_S = 10.0
#: Until a worker's first sign of life: its libraries are read, its device is woken.
_START_S = 120.0
_GLANCE_S = 0.25
#: For the workers' metrics; of one that does not tell them in time the last known are taken.
_COLLECT_S = 1.0


class Supervisor:
    """Keeps as many workers serving as there should be."""

    def __init__(
        self, settings: Settings, listener: socket.socket, command: Sequence[str] = COMMAND
    ) -> None:
        """Nothing is started yet.

        Args:
            settings: of the whole service.
            listener: bound; every worker accepts from it.
            command: starts a worker.
        """
        self._settings, self._listener, self._command = settings, listener, command
        self._shares = shares(settings)
        self._workers: dict[int, WorkerProcess] = {}
        self._spares: dict[int, WorkerProcess] = {}
        self._findings, self._rollout = Findings(), Rollout(self._all)
        self._failures = [0] * len(self._shares)
        self._ledger = Ledger(
            accepting=lambda: sum(worker.is_accepting for worker in self._workers.values()),
            spare=lambda: sum(spare.is_loaded for spare in self._spares.values()),
        )
        self._stopping = asyncio.Event()
        self._stop_by = 0.0
        self._status = 0
        self._round = 0
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Keep the workers until a signal comes or none of them can be kept; the exit status."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._on_signal, signum)
        try:
            async with asyncio.TaskGroup() as group:
                count = len(self._shares)
                for number in range(count):
                    group.create_task(self._keep(number))
                for number in range(count, count + self._settings.spares):
                    group.create_task(self._keep_spare(number))
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)
        return self._status

    async def _keep(self, number: int) -> None:
        """Start a worker whenever there is none under this number."""
        gone_at: float | None = None
        while not self._stopping.is_set():
            # Liveness is answered while the first models load; where others serve, or have loaded,
            # a new worker lets them.
            is_early = number == 0 and not any(w.is_loaded for w in self._workers.values())
            worker = self._relief(number) or await self._start(number, is_early=is_early)
            worker.gone_at = gone_at
            self._workers[number] = worker
            self._let_accept()
            reason = await self._outlive(worker)
            gone_at = time.monotonic()
            del self._workers[number]
            self._ledger.depart(number)
            self._let_accept()
            if not self._stopping.is_set():
                self._judge(worker, reason)
                await self._pause(self._failures[number])

    async def _keep_spare(self, number: int) -> None:
        """Have one more worker loaded than serve, whenever all of those are."""
        failures = 0
        while not self._stopping.is_set():
            if len(self._workers) < len(self._shares) or not all(
                worker.is_loaded for worker in self._workers.values()
            ):
                await self._rest(_GLANCE_S)
                continue
            spare = self._spares[number] = await self._start(number, is_early=False)
            reason = await self._outlive(spare, partial(self._is_spare, spare))
            if not self._is_spare(spare):  # it has taken a place
                failures = 0
                continue
            del self._spares[number]
            self._ledger.depart(number)
            if not self._stopping.is_set():
                log.error("a spare worker ended with status %s; starting another", spare.status)
                self._ledger.restarts.labels(reason).inc()
                failures += 1
                await self._pause(failures)

    async def _start(self, number: int, *, is_early: bool) -> WorkerProcess:
        share = self._shares[min(number, len(self._shares) - 1)]
        assignment = Assignment(share, is_early, self._findings, self._rollout.without)
        worker = await WorkerProcess.start(self._command, self._listener, number, assignment)
        worker.listening = asyncio.create_task(self._listen(worker))
        if self._stopping.is_set():
            worker.signal(signal.SIGTERM)
        return worker

    def _is_spare(self, worker: WorkerProcess) -> bool:
        return self._spares.get(worker.number) is worker

    def _relief(self, number: int) -> WorkerProcess | None:
        """A spare worker that takes a place, best one that is loaded; None without one."""
        spares = [spare for spare in self._spares.values() if spare.status is None]
        spare = max(spares, key=lambda spare: spare.is_loaded, default=None)
        if spare is not None:
            del self._spares[spare.number]
            self._ledger.rename(spare.number, number)
            spare.number = number
        return spare

    def _all(self) -> Iterator[WorkerProcess]:
        yield from self._workers.values()
        yield from self._spares.values()

    async def _outlive(
        self, worker: WorkerProcess, concerns: Callable[[], bool] = lambda: True
    ) -> str:
        """Wait until a worker has ended, and see to it that it does; why it ended.

        Args:
            worker: to wait for.
            concerns: whether it is the caller's still; if not, the waiting ends.
        """
        reason = "died"
        while concerns() and not await worker.has_ended(_GLANCE_S):
            now = time.monotonic()
            if self._stopping.is_set():
                if now > self._stop_by:
                    log.error("worker %d does not stop; killing it", worker.number)
                    self._status = 1
                    worker.signal(signal.SIGKILL)
                continue
            allowed = self._settings.worker_timeout_s if worker.has_spoken else _START_S
            if now - worker.heard_at > allowed:
                log.error("worker %d said nothing for %.0f s; killing it", worker.number, allowed)
                reason = "hung"
                worker.signal(signal.SIGKILL)
        if concerns():
            await worker.listening  # its last words are in the socket still
            worker.channel.close()
        return reason

    def _judge(self, worker: WorkerProcess, reason: str) -> None:
        """Note that a worker ended by itself; give up if none can be kept."""
        number, status = worker.number, worker.status
        log.error("worker %d ended with status %s; starting another", number, status)
        self._ledger.restarts.labels(reason).inc()
        settled = worker.is_loaded and time.monotonic() - worker.began_at > _SETTLED_S
        self._failures[number] = 0 if settled else self._failures[number] + 1
        if any(each.is_loaded for each in self._workers.values()):
            return  # a service of fewer workers is better than none
        if status == UNUSABLE or min(self._failures) >= MOST_FAILED_STARTS:
            log.critical("the workers cannot be started; giving up")
            self._status = 1
            self._stop(signal.SIGTERM)

    async def _pause(self, failures: int) -> None:
        """Wait the longer the more often a worker failed in a row; not at all the first time."""
        if failures:
            await self._rest(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1)))

    async def _rest(self, seconds: float) -> None:
        """Wait, but not after the service is told to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _listen(self, worker: WorkerProcess) -> None:
        while message := await worker.channel.receive():
            worker.heard_at, worker.has_spoken = time.monotonic(), True
            self._hear(worker, message)

    def _hear(self, worker: WorkerProcess, message: Message) -> None:
        if isinstance(message, Collected):
            self._ledger.report(worker.number, message)
        elif isinstance(message, Scrape):
            self._see_to(self._scrape(worker, message.number))
        elif isinstance(message, Order):
            self._see_to(self._pass_on(worker, message))
        elif isinstance(message, Done):
            worker.hear(message)
        elif isinstance(message, Loaded):
            self._findings.add(message.findings)
            worker.is_loaded = True
            self._let_accept()
        elif message == Sign("accepting"):
            worker.is_accepting = True
            if worker.gone_at is not None:
                took = time.monotonic() - worker.gone_at
                self._ledger.recovery.observe(took)
                log.info("worker %d is there again after %.2f s", worker.number, took)

    def _let_accept(self) -> None:
        """Let loaded workers accept, but none while one that accepts already is loading still.

        Otherwise one request would be answered and the next be told that models are loading.
        """
        workers = self._workers.values()
        if not any(worker.is_early and not worker.is_loaded for worker in workers):
            for worker in workers:
                if worker.is_loaded:
                    worker.channel.send(Sign("accept"))

    async def _scrape(self, asker: WorkerProcess, number: int) -> None:
        """Collect all workers' metrics for one of them."""
        self._round += 1
        asked = [worker for worker in self._all() if worker.has_spoken]
        for each in asked:
            each.channel.send(Collect(self._round))
        numbers = {each.number for each in asked}
        await self._ledger.collected(self._round, numbers, _COLLECT_S)
        asker.channel.send(Scraped(number, self._ledger.metrics()))

    async def _pass_on(self, asker: WorkerProcess, order: Order) -> None:
        """Let all workers make a change that one of them was asked for."""
        failure = await self._rollout.make(order.change)
        asker.channel.send(Done(order.number, failure))

    def _see_to(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _on_signal(self, signum: int) -> None:
        log.info("stopping the workers")
        self._stop(signum)

    def _stop(self, signum: int) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self._stop_by = time.monotonic() + self._settings.shutdown_grace_s + _LAST_S
            self._listener.close()  # or the port would stay open until the last worker is gone
        for worker in self._all():
            worker.signal(signum)


def serve(settings: Settings) -> int:
    """Serve with several workers until SIGTERM or SIGINT; returns the exit status.

    Raises:
        OSError: the port cannot be bound.
    """
    with listening(settings.host, settings.port, server.backlog(settings)) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.info("%d workers running on http://%s:%d", settings.workers, shown, port)
        return asyncio.run(_supervise(settings, listener))


async def _supervise(settings: Settings, listener: socket.socket) -> int:
    return await Supervisor(settings, listener).run()


def listening(host: str, port: int, backlog: int = 128) -> socket.socket:
    """A socket bound to the address; connections wait in it until a worker accepts them.

    Raises:
        OSError: names the address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OSError(f"cannot listen on {host}:{port}: {reason}") from error
    return listener
