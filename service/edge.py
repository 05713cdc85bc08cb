"""The edge: what stands around the routes, from the outside in.

::

    RecordRequests                an id, a line in the log
    TraceStages                   a span a stage          (if the environment asks for traces)
    CORSMiddleware                browsers of other origins             (if any are allowed)
    AnswerUnexpected              a problem for what nobody foresaw
    CountResponses                by route and status
    Guard                         API keys, scopes, rate limits
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.cors import CORSMiddleware

from service.guard import Guard, Policy
from service.keys import Keys
from service.middleware import AnswerUnexpected, CountResponses, RecordRequests
from service.security_document import describe_keys
from service.settings import Settings
from service.telemetry import Telemetry
from service.tracing import TraceStages, provider_from_environment, telemetry_of

_ALLOWED_HEADERS = ("Authorization", "X-API-Key", "X-Request-ID", "traceparent", "tracestate")
_EXPOSED_HEADERS = (
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "Sightline-Device",
    "X-Request-ID",
)


class Edge:
    """The middleware of one application, and what keeps it up to date."""

    def __init__(self, settings: Settings) -> None:
        """Read the keys and the environment.

        Raises:
            KeysError: the file of API keys cannot be used.
            TracingError: the environment asks for traces that cannot be sent.
        """
        self._settings = settings
        self._keys = Keys(settings.api_keys_file) if settings.api_keys_file else None
        self._policy = Policy(
            public_docs=settings.public_docs, public_metrics=settings.public_metrics
        )
        self._traces = provider_from_environment()

    @property
    def telemetry(self) -> TelemetryConfig:
        """What FastAPI traces."""
        return telemetry_of(self._traces)

    def surround(self, app: FastAPI, telemetry: Telemetry) -> None:
        """Put the middleware around an application, and the keys into its document."""
        settings = self._settings
        app.add_middleware(Guard, policy=self._policy, keys=self._keys, rate=settings.rate)
        app.add_middleware(CountResponses, telemetry=telemetry)
        app.add_middleware(AnswerUnexpected)
        if settings.origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=("GET", "POST"),
                allow_headers=_ALLOWED_HEADERS,
                expose_headers=_EXPOSED_HEADERS,
            )
        if self._traces is not None:
            app.add_middleware(TraceStages, provider=self._traces)
        app.add_middleware(RecordRequests, log_requests=settings.access_log)
        describe_keys(app, self._policy, required=self._keys is not None)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Follow the file of keys while the block runs; send the last traces at its end."""
        following = asyncio.create_task(self._keys.follow()) if self._keys else None
        try:
            yield
        finally:
            if following is not None:
                following.cancel()
            if self._traces is not None:
                await asyncio.to_thread(self._traces.shutdown)
