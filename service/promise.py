"""A value that a thread will deliver to a coroutine."""

import asyncio
import logging
import time
from typing import Generic, TypeVar

from service.errors import LateError

log = logging.getLogger(__name__)

Value = TypeVar("Value")


class Promise(Generic[Value]):
    """Made in a coroutine, settled once from any thread, waited for until a deadline."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        """Belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Value] = self._loop.create_future()

    def is_abandoned(self) -> bool:
        """Whether nobody waits any more, so that work towards it can be spared."""
        return self._future.done()

    def settle(self, result: Value | Exception) -> None:
        """Deliver; harmless if nobody waits any more or the event loop is closed."""
        try:
            self._loop.call_soon_threadsafe(self._settle, result)
        except RuntimeError:
            log.debug("the event loop closed before an answer could be delivered")

    async def wait(self, deadline: float) -> Value:
        """Wait for the value.

        Args:
            deadline: on the clock of ``time.monotonic``.

        Raises:
            LateError: the deadline passed first.
            Exception: the one it was settled with.
        """
        late = LateError("the request could not be answered within its deadline")
        timer = self._loop.call_later(deadline - time.monotonic(), self._settle, late)
        try:
            return await self._future
        finally:
            timer.cancel()
            del self, late  # which the traceback of an exception would lead back to: no cycle

    def _settle(self, result: Value | Exception) -> None:
        if self._future.done():
            return
        if isinstance(result, Exception):
            self._future.set_exception(result)
        else:
            self._future.set_result(result)
