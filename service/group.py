"""The processes that serve together: what the application must know of the others."""

import logging
import os
import signal
from collections.abc import Awaitable, Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Metric

log = logging.getLogger(__name__)


class Group(Protocol):
    """What one application knows of the processes it is one of.

    Attributes:
        is_restarted: whether a process that ends is replaced by the group itself.
        status: what this process exits with.
    """

    is_restarted: bool
    status: int

    async def join(self, loading: Awaitable[object], own: CollectorRegistry) -> None:
        """Return once this process may accept connections.

        Args:
            loading: ends when its models are loaded.
            own: the metrics of this process.
        """
        ...

    def stop(self) -> None:
        """Wait for nothing more: this process was told to end."""
        ...

    async def leave(self) -> None:
        """Say goodbye; everything is drained."""
        ...

    async def metrics(self) -> Iterable[Metric]:
        """The metrics of all processes together."""
        ...

    def give_up(self, reason: str) -> None:
        """End this process, drained as far as it goes, since only a new one can help."""
        ...


class Alone:
    """The one process there is."""

    is_restarted = False

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self.status = 0
        self._own = CollectorRegistry()

    async def join(self, loading: Awaitable[object], own: CollectorRegistry) -> None:  # noqa: ARG002
        """Accept at once: liveness is answered while models load."""
        self._own = own

    def stop(self) -> None:
        """Nothing is waited for."""

    async def leave(self) -> None:
        """There is nobody to tell."""

    async def metrics(self) -> Iterable[Metric]:
        """The metrics of this process."""
        return self._own.collect()

    def give_up(self, reason: str) -> None:
        """End with status 1, so that whatever runs the service starts it again."""
        log.critical("giving up: %s", reason)
        self.status = 1
        os.kill(os.getpid(), signal.SIGTERM)
