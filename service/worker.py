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

from prometheus_client import CollectorRegistry, Metric

from service import server
from service.channel import (
    UNUSABLE,
    Assignment,
    Channel,
    Collect,
    Collected,
    Scrape,
    Scraped,
    Sign,
    receive_first,
)
from service.errors import NotReadyError, SightlineError
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

    def __init__(self, end: socket.socket, *, is_early: bool) -> None:
        """Nothing is said yet.

        Args:
            end: of the channel to the supervisor.
            is_early: whether connections are accepted while models load.
        """
        self.status = 0
        self._end, self._is_early = end, is_early
        self._may_accept = asyncio.Event()
        self._scrapes: dict[int, asyncio.Future[list[Metric]]] = {}
        self._number = 0

    async def join(self, loading: Awaitable[object], own: CollectorRegistry) -> None:
        """Return once this worker may accept connections.

        A worker that takes a dead one's place lets the others serve until its models are loaded.
        """
        self._own, self._loop = own, asyncio.get_running_loop()
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
        number = self._number
        future: asyncio.Future[list[Metric]] = self._loop.create_future()
        self._scrapes[number] = future
        self._channel.send(Scrape(number))
        try:
            async with asyncio.timeout(_SCRAPE_S):
                return await future
        except TimeoutError:
            raise NotReadyError("the metrics of the other workers do not come") from None
        finally:
            del self._scrapes[number]

    def give_up(self, reason: str) -> None:
        """End with status 1; the supervisor starts another worker."""
        log.critical("this worker gives up: %s", reason)
        self.status = 1
        os.kill(os.getpid(), signal.SIGTERM)

    async def _listen(self) -> None:
        while message := await self._channel.receive():
            if isinstance(message, Collect):
                self._channel.send(Collected(message.number, list(self._own.collect())))
            elif isinstance(message, Scraped):
                future = self._scrapes.get(message.number)
                if future is not None and not future.done():
                    future.set_result(message.metrics)
            elif message == Sign("accept"):
                self._may_accept.set()
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
        self._channel.send(Sign("loaded"))


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
    group = Member(end, is_early=assignment.is_early)
    try:
        return server.serve(settings, group, [listener])
    except (SightlineError, OSError) as error:
        log.critical("%s", error)
        return UNUSABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
