"""ASGI middleware; plain callables, since a wrapped Request costs more than it gives."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.telemetry import Telemetry


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
