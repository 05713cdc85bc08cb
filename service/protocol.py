"""HTTP/1.1 as uvicorn speaks it, with bounds on a request's head and problems for answers.

uvicorn collects a head of any length and for any time. What goes wrong before there is a request to
give to the application is answered here, in the application's own form.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.answering import response_of
from service.connection import ImpatientProtocol
from service.errors import PROBLEM_JSON, problem

#: Bytes of a URL; the paths and parameters here take a few hundred.
MAX_URL = 8192
#: Seconds a refused client is listened to still. To close while it sends would reset the
#: connection, and the answer with it.
_LINGER_S = 1.0


class BoundedProtocol(ImpatientProtocol):
    """One connection, whose requests' heads must come within a time and a size."""

    def __init__(
        self, config: Config, *args: Any, max_head_bytes: int, head_timeout_s: float, **kwargs: Any
    ) -> None:
        """Wait for the first head.

        Args:
            config: of the server; its ``limit_concurrency`` bounds the connections.
            args: of uvicorn's protocol.
            max_head_bytes: of a request line and its headers.
            head_timeout_s: seconds they may take to come.
            kwargs: of uvicorn's protocol.
        """
        super().__init__(config, *args, **kwargs)
        self._max_connections, self.limit_concurrency = self.limit_concurrency, None
        self._max_head_bytes, self._head_timeout_s = max_head_bytes, head_timeout_s
        self._in_head = True  # from the end of one request to the end of the next one's head
        self._begun = False  # a head, of which some is there
        self._head_bytes = 0
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client a time to send its first head."""
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse a head that has become too large."""
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)  # more than its own if a request ends in these bytes
        super().data_received(data)
        if self._refused or not self._hears_head() or self.transport.is_closing():
            return
        if self._head_timer is None:
            self._start_head_timer()
        if self._head_bytes > self._max_head_bytes:
            self._refuse(*self._too_large())

    def on_message_begin(self) -> None:
        """The first bytes of a head are there."""
        super().on_message_begin()
        self._begun = True

    def on_headers_complete(self) -> None:
        """Give the request to the application, or to what refuses it."""
        self._in_head = self._begun = False
        self._stop_head_timer()
        application, self.app = self.app, self._receiver()
        try:
            super().on_headers_complete()
        finally:
            self.app = application

    def on_message_complete(self) -> None:
        """Whatever comes now is the next head."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _receiver(self) -> ASGIApp:
        """Who answers the request whose head is complete."""
        if self._max_connections is not None and len(self.connections) > self._max_connections:
            self.logger.warning("more than %d connections", self._max_connections)
            detail = "the service has more connections than it serves; try again later"
            return partial(_answer, HTTPStatus.SERVICE_UNAVAILABLE, detail)
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.url) > MAX_URL or size > self._max_head_bytes:
            return partial(_answer, *self._too_large())
        application: ASGIApp = self.app
        return application

    def _too_large(self) -> tuple[HTTPStatus, str]:
        url = getattr(self, "url", b"")  # set once a request begins
        if len(url) > min(MAX_URL, self._max_head_bytes // 2):
            return HTTPStatus.REQUEST_URI_TOO_LONG, f"a URL has at most {MAX_URL:,} bytes here"
        detail = f"a request's headers have at most {self._max_head_bytes:,} bytes here"
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer on the bare connection, and close it."""
        self._stop_head_timer()
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # the answer to an earlier request is being sent
            return
        body = problem(status, detail).to_json()
        head = f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close"
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _hears_head(self) -> bool:
        """Whether anything came since the last request, empty lines among it."""
        return self._in_head and (self._begun or self._head_bytes > 0)

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._head_timeout_s, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_head_timer()  # an earlier request is being answered still
        elif self._hears_head():
            detail = f"the request's head did not arrive within {self._head_timeout_s:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, detail)
        else:
            self.transport.close()


async def _answer(
    status: HTTPStatus, detail: str, scope: Scope, receive: Receive, send: Send
) -> None:
    headers = {"Connection": "close"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    await response_of(problem(status, detail), headers)(scope, receive, send)
