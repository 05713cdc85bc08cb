"""ASGI middleware; plain callables, since a wrapped Request costs more than it gives."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.answering import send_problem
from service.errors import SightlineError
from service.request_record import RequestRecord, current, request_id
from service.telemetry import Telemetry

log = logging.getLogger(__name__)
access = logging.getLogger("service.access")

#: Asked every few seconds by machines; logged as debug unless something is wrong.
_ROUTINE = frozenset({"/healthz", "/healthz/inference", "/readyz", "/metrics"})
#: Characters of a path nobody serves that are logged.
_SHOWN = 128


class RecordRequests:
    """Gives every request its id and its record, and logs a line once it is answered."""

    def __init__(self, app: ASGIApp, *, log_requests: bool) -> None:
        """Wrap an application."""
        self._app, self._log_requests = app, log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the answer tells the id in ``X-Request-ID``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        record = RequestRecord(request_id(given))
        told = (b"x-request-id", record.id.encode("ascii"))
        began = time.perf_counter()
        status = 0

        async def telling_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), told]
            await send(message)

        token = current.set(record)
        try:
            await self._app(scope, receive, telling_send)
        finally:
            if self._log_requests:
                _log(scope, record, status, (time.perf_counter() - began) * 1e3)
            current.reset(token)


def _log(scope: Scope, record: RequestRecord, status: int, ms: float) -> None:
    path: str = scope["path"]
    level = logging.DEBUG if path in _ROUTINE and status < 400 else logging.INFO
    if not access.isEnabledFor(level):
        return
    route = getattr(scope.get("route"), "path", None)
    client = scope.get("client")
    access.log(
        level,
        "%s %s %d in %.1f ms%s%s",
        scope["method"],
        # Quoted: a path can hold anything, also what would begin another line.
        route or ascii(path[:_SHOWN])[1:-1],
        status,
        ms,
        f", model {record.model}" if record.model else "",
        f", key {record.key}" if record.key else "",
        extra={
            "request_id": record.id,
            "method": scope["method"],
            "route": route,
            "path": None if route else path[:_SHOWN],
            "status": status,
            "duration_ms": round(ms, 3),
            "model": record.model,
            "key": record.key,
            "client": client[0] if client else None,
        },
    )


class AnswerUnexpected:
    """Answers what nobody foresaw with a problem, and logs it.

    Starlette would answer outside of all middleware, where neither the request's id nor the
    headers for CORS are added.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; an error once the answer has begun goes to the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception:
            if started:
                raise
            log.exception("an unexpected error")
            error = SightlineError("an unexpected error; the log has the details")
            await send_problem(error, scope, receive, send)


class CountResponses:
    """Counts responses by route and status."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        """Wrap an application."""
        self._app = app
        self._responses = telemetry.responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, noting the status on its way out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        def count(status: int) -> None:
            # Unmatched paths share one label: a scanner must not make new time series.
            route = getattr(scope.get("route"), "path", "unmatched")
            self._responses.labels(route, status).inc()

        async def counting_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counting_send)
        except Exception:
            if not started:  # the answer to an unexpected error is given further out
                count(500)
            raise
