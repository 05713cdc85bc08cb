"""Changes of what is served, made by one worker after the other."""

import asyncio
from collections.abc import Callable, Iterable

from service.errors import NotFoundError, SightlineError
from service.group import Change
from service.worker_process import WorkerProcess

_GLANCE_S = 0.25


class Rollout:
    """Lets all workers make a change; one change at a time.

    Memory for two versions of a model is needed in one worker at a time, and a version that the
    first refuses is not tried by the others.

    Attributes:
        without: names of models that were unloaded, for workers that start later.
    """

    def __init__(self, workers: Callable[[], Iterable[WorkerProcess]]) -> None:
        """Nothing was unloaded yet.

        Args:
            workers: gives those there are, loaded or not.
        """
        self.without = frozenset[str]()
        self._workers, self._turn = workers, asyncio.Lock()

    async def make(self, change: Change) -> SightlineError | None:
        """Let the workers make a change; why the first that failed did, None if all did it.

        Those that start meanwhile are among them, so that all serve the same in the end.
        """
        async with self._turn:
            told, is_made = set[WorkerProcess](), False
            while worker := next((each for each in self._workers() if each not in told), None):
                told.add(worker)
                while not worker.is_loaded and not await worker.has_ended(_GLANCE_S):
                    pass
                done = await worker.carry_out(change)
                if done is None:  # it has ended; the one that takes its place is told, too
                    continue
                if done.failure is not None and not (is_made and _is_gone(change, done.failure)):
                    return done.failure
                is_made = True
                # Workers that start from now on do as those that are there.
                unloaded = {change.name} if change.verb == "unload" else set[str]()
                self.without = self.without - {change.name} | unloaded
            return None


def _is_gone(change: Change, failure: SightlineError) -> bool:
    """Whether a worker has started without what the others were told to unload."""
    return change.verb == "unload" and isinstance(failure, NotFoundError)
