"""Work for a client that may leave before it is done."""

import asyncio
from types import TracebackType
from typing import Self

from fastapi import Request

from service.errors import ClientGoneError


class UntilGone:
    """Runs a block until the client closes the connection, then cancels it.

    Enter only once the body has been read: the next message can only be the disconnect.

    Raises:
        ClientGoneError: in place of the cancellation.
    """

    def __init__(self, request: Request) -> None:
        """Watch the request's connection."""
        self._request = request
        self._gone = False

    async def __aenter__(self) -> Self:
        """Start watching."""
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in a task
        self._task = task
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; turn the cancellation we caused into ClientGoneError."""
        self._watcher.cancel()
        # A cancelled task keeps its traceback, which leads back here: without this a cycle would
        # hold every request's picture until the garbage collector stops the world for it.
        del self._watcher
        if self._gone and kind is not None and issubclass(kind, asyncio.CancelledError):
            self._task.uncancel()
            raise ClientGoneError("the client closed the connection") from None

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
