"""The processes that serve together: what the application must know of the others."""

import logging
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Metric

from service.errors import NotReadyError
from service.findings import Findings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of what is served.

    Attributes:
        verb: load what is in the model's folder now, or unload the model.
        name: of the model.
    """

    verb: Literal["load", "unload"]
    name: str


Apply = Callable[[Change], Awaitable[object]]
"""Makes a change in one process; raises a SightlineError if it fails."""


class Group(Protocol):
    """What one application knows of the processes it is one of.

    Attributes:
        is_restarted: whether a process that ends is replaced by the group itself.
        status: what this process exits with.
        findings: about models, of processes before it; its own are added.
        without: names of models that were unloaded, though their folders are there.
    """

    is_restarted: bool
    status: int

    @property
    def findings(self) -> Findings:
        """See above."""
        ...

    @property
    def without(self) -> Collection[str]:
        """See above."""
        ...

    async def join(self, loading: Awaitable[object], own: CollectorRegistry, apply: Apply) -> None:
        """Return once this process may accept connections.

        Args:
            loading: ends when its models are loaded.
            own: the metrics of this process.
            apply: makes a change in this process.
        """
        ...

    async def change(self, change: Change) -> None:
        """Make a change in all processes, one after the other.

        Raises:
            NotReadyError: no process makes changes yet.
            SightlineError: it failed, as in Apply. The processes go on with what they served; but
                if it succeeds in one and fails in another, those differ, which the log tells.
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
    without = ()

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self.status = 0
        self.findings = Findings()
        self._own = CollectorRegistry()
        self._apply: Apply | None = None

    async def join(
        self,
        loading: Awaitable[object],  # noqa: ARG002
        own: CollectorRegistry,
        apply: Apply,
    ) -> None:
        """Accept at once: liveness is answered while models load."""
        self._own, self._apply = own, apply

    async def change(self, change: Change) -> None:
        """Make the change here."""
        if self._apply is None:
            raise NotReadyError("the service is starting")
        await self._apply(change)

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
