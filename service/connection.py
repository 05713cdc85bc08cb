"""One connection: no client is waited for that does not read, or does not go on sending.

uvicorn waits without limit until an answer is read, and until what is left of a body has come that
has been answered already. Either would hold a connection, and its share of memory, for as long as
the client likes. ``service.protocol`` bounds what comes before: the head.
"""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

#: Connections past the most there may be that are still told so; the rest are closed unheard.
TOLD = 256


class ImpatientProtocol(HttpToolsProtocol):
    """Aborts a connection whose client makes no progress for a time."""

    def __init__(self, config: Config, *args: Any, patience_s: float = 20.0, **kwargs: Any) -> None:
        """Wait for nothing yet.

        Args:
            config: of the server; some connections past its ``limit_concurrency`` are closed at
                once, so that files are left for everything else.
            args: of uvicorn's protocol.
            patience_s: seconds a client may leave an answer unread once it fills the buffers, or
                take to send the rest of a body that has been answered already.
            kwargs: of uvicorn's protocol.
        """
        super().__init__(config, *args, **kwargs)
        self._patience_s, self._most = patience_s, config.limit_concurrency
        self._is_in_body = False
        self._answered: RequestResponseCycle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse what is too much even to be told so."""
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most + TOLD:
            transport.abort()

    def on_headers_complete(self) -> None:
        """What comes now is a body."""
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of a request is there."""
        self._is_in_body = False
        self._stop("rest")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered, maybe before all of its body was there."""
        super().on_response_complete()
        is_unsent = self._is_in_body and self.cycle.response_complete
        if is_unsent and not self.transport.is_closing():
            self._start("rest")

    def pause_writing(self) -> None:
        """The client does not keep up reading."""
        super().pause_writing()
        self._start("unread")

    def resume_writing(self) -> None:
        """The client has read nearly all."""
        super().resume_writing()
        self._stop("unread")

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, at once if its last answer is unread still."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more.

        uvicorn tells the newest request that its client is gone. Where a client has sent the next
        ones ahead, that is not the one being answered, which would go on writing.
        """
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        self.pipeline.clear()
        for name in ("rest", "unread"):
            self._stop(name)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _start(self, name: str) -> None:
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(self._patience_s, self.transport.abort)

    def _stop(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
