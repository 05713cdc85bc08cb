"""One of several workers: ``python -m service.worker LISTENER CHANNEL``, started by the supervisor.

Both arguments are numbers of inherited sockets: the one to accept connections from, which all
workers share, and the one to the supervisor. When that one closes the supervisor is gone, and the
worker ends as for SIGTERM.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Metric

from service import server
from service.channel import (
    UNUSABLE,
    Assignment,
    Channel,
    Collect,
    Collected,
    Done,
    Loaded,
    Message,
    Order,
    Scrape,
    Scraped,
    Sign,
    receive_first,
)
from service.errors import NotReadyError, SightlineError
from service.group import Apply, Change
from service.logs import configure_logging

log = logging.getLogger(__name__)

_LIFE_S = 1.0
#: Signs of life between two reports of a worker's metrics, for the case that it is killed.
_SIGNS_A_REPORT = 5
_SCRAPE_S = 5.0
_GOODBYE_S = 1.0


class Member:
    """The group a worker is in, as its application sees it; see service.group.Group."""

    is_restarted = True

    def __init__(self, end: socket.socket, assignment: Assignment) -> None:
        """Nothing is said yet.

        Args:
            end: of the channel to the supervisor.
            assignment: what this worker is to be.
        """
        self.status = 0
        self.findings, self.without = assignment.findings, assignment.without
        self._end, self._is_early = end, assignment.is_early
        self._may_accept = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._orders: set[asyncio.Task[None]] = set()

    async def join(self, loading: Awaitable[object], own: CollectorRegistry, apply: Apply) -> None:
        """Return once this worker may accept connections.

        A worker that takes a dead one's place lets the others serve until its models are loaded.
        """
        self._own, self._apply, self._loop = own, apply, asyncio.get_running_loop()
        self._channel = await Channel.over(self._end)
        self._tasks = [
            asyncio.create_task(work)
            for work in (self._listen(), self._live(), self._tell_when_loaded(loading))
        ]
        if not self._is_early:
            await self._may_accept.wait()
        self._channel.send(Sign("accepting"))

    def stop(self) -> None:
        """Wait no longer for a turn to accept; called by a signal's handler."""
        self._loop.call_soon_threadsafe(self._may_accept.set)

    async def leave(self) -> None:
        """Leave the last counts with the supervisor."""
        for task in self._tasks:
            task.cancel()
        self._channel.send(Collected(0, list(self._own.collect())))
        await self._channel.flush(_GOODBYE_S)
        self._channel.close()

    async def metrics(self) -> Iterable[Metric]:
        """The metrics of all workers.

        Raises:
            NotReadyError: the supervisor does not answer.
        """
        self._number += 1
        try:
            async with asyncio.timeout(_SCRAPE_S):
                scraped: Scraped = await self._ask(Scrape(self._number))
        except TimeoutError:
            raise NotReadyError("the metrics of the other workers do not come") from None
        return scraped.metrics

    async def change(self, change: Change) -> None:
        """Make a change in all workers; see Group.change."""
        self._number += 1
        done: Done = await self._ask(Order(self._number, change))
        if done.failure is not None:
            raise done.failure

    def give_up(self, reason: str) -> None:
        """End with status 1; the supervisor starts another worker."""
        log.critical("this worker gives up: %s", reason)
        self.status = 1
        os.kill(os.getpid(), signal.SIGTERM)

    async def _ask(self, message: Scrape | Order) -> Any:
        """Send a message and wait for what answers its number."""
        answer = self._answers[message.number] = self._loop.create_future()
        self._channel.send(message)
        try:
            return await answer
        finally:
            del self._answers[message.number]

    async def _carry_out(self, order: Order) -> None:
        failure: SightlineError | None = None
        try:
            await self._apply(order.change)
        except SightlineError as error:
            failure = error.with_traceback(None)
        except Exception:
            log.exception("to %s %s failed", order.change.verb, order.change.name)
            failure = SightlineError("an unexpected error; the log has the details")
        self._channel.send(Done(order.number, failure))

    def _hear(self, message: Message) -> None:
        if isinstance(message, Collect):
            self._channel.send(Collected(message.number, list(self._own.collect())))
        elif isinstance(message, Order):
            task = asyncio.create_task(self._carry_out(message))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)
        elif isinstance(message, (Scraped, Done)):
            answer = self._answers.get(message.number)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif message == Sign("accept"):
            self._may_accept.set()

    async def _listen(self) -> None:
        while message := await self._channel.receive():
            self._hear(message)
        log.error("the supervisor is gone; stopping")
        os.kill(os.getpid(), signal.SIGTERM)
        self._may_accept.set()

    async def _live(self) -> None:
        signs = 0
        while True:
            self._channel.send(Sign("life"))
            signs += 1
            if signs % _SIGNS_A_REPORT == 0:
                self._channel.send(Collected(0, list(self._own.collect())))
            await asyncio.sleep(_LIFE_S)

    async def _tell_when_loaded(self, loading: Awaitable[object]) -> None:
        await loading
        self._channel.send(Loaded(self.findings))


def main(arguments: list[str]) -> int:
    """Serve until told to end; returns the exit status."""
    listener, end = (socket.socket(fileno=int(number)) for number in arguments)
    try:
        assignment = receive_first(end)
    except EOFError:
        return 1
    assert isinstance(assignment, Assignment)
    settings = assignment.settings
    configure_logging(settings.log_level, settings.log_format)
    group = Member(end, assignment)
    try:
        return server.serve(settings, group, [listener])
    except (SightlineError, OSError) as error:
        log.critical("%s", error)
        return UNUSABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
