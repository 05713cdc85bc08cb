"""OpenTelemetry traces, where the standard variables of the environment ask for them.

OpenTelemetry's SDK is imported only then; it comes with the extra ``otel``. A request is one span,
made by FastAPI, which also continues the trace that a request comes with. Below it every picture
has a span for its decoding, its waiting in the queue and its run. Those are told afterwards from
the times that are taken anyway, so that nothing is done in the threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import service
from service.errors import TracingError
from service.request_record import RequestRecord, Stages, current

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_EXPORTERS = "opentelemetry_traces_exporter"
#: Asked every few seconds by machines, and nothing to learn from.
_UNTRACED = frozenset({"/healthz", "/healthz/inference", "/readyz", "/metrics"})


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces: an exporter, or where to send them."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter != "none" if exporter else any(map(environment.get, endpoints))


def provider_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> TracerProvider | None:
    """What makes and sends spans, None if nobody asks for them.

    Which exporter, where to, how much of it and under which name is said by OpenTelemetry's own
    variables: OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_BSP_*,
    OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.

    Raises:
        TracingError: they are asked for, but the packages are missing or the exporter is unknown.
    """
    if not is_wanted(environment):
        return None
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise TracingError(
            f"OTEL_* in the environment asks for traces, but {error.name} is not installed; "
            "install Sightline with its extra 'otel', as in: pip install '.[cpu,otel]'"
        ) from None
    attributes = {"service.version": service.__version__}
    in_attributes = "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not environment.get("OTEL_SERVICE_NAME") and not in_attributes:
        attributes[SERVICE_NAME] = "sightline"
    # The end of the application ends it, not that of the interpreter.
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    for name in (environment.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip(), environment)))
    return provider


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    if name == "otlp":
        protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
        )
        name = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}.get(protocol, name)
    offered = metadata.entry_points(group=_EXPORTERS, name=name)
    if not offered:
        known = ", ".join(sorted(metadata.entry_points(group=_EXPORTERS).names))
        raise TracingError(f"no exporter of traces {name!r} is installed; there are: {known}")
    exporter: SpanExporter = next(iter(offered)).load()()
    return exporter


def telemetry_of(provider: TracerProvider | None) -> TelemetryConfig:
    """What FastAPI is told: to trace with this provider if there is one, and to do nothing else."""
    return {
        "tracer_provider": provider,
        "tracing": provider is not None,
        "metrics": False,  # what there is to count, Prometheus counts
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope.get("path") in _UNTRACED,
    }


class TraceStages:
    """Tells the request's span what the request was, and adds one for each stage of a picture."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        """Wrap an application, within what gives a request its record."""
        self._app, self._tracer = app, provider.get_tracer("sightline", service.__version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        from opentelemetry import trace

        record, span = current.get(), trace.get_current_span()
        if record is None or not span.is_recording():
            await self._app(scope, receive, send)
            return
        record.traced = True

        async def telling_send(message: Message) -> None:
            # Once the answer is sent, the span is over.
            if message["type"] == "http.response.start":
                self._tell(record, span)
            await send(message)

        await self._app(scope, receive, telling_send)

    def _tell(self, record: RequestRecord, span: Span) -> None:
        for name, value in _told(record).items():
            span.set_attribute(name, value)
        since_epoch = time.time() - time.monotonic()
        for stages in record.stages:
            self._add(stages, since_epoch)

    def _add(self, stages: Stages, since_epoch: float) -> None:
        attributes = {"sightline.model": stages.model}
        ran = stages.prepared + stages.queue_s
        for name, began, ended in (
            ("wait", stages.arrived, stages.began),
            ("decode", stages.began, stages.prepared),
            ("queue", stages.prepared, ran),
            ("run", ran, ran + stages.run_s),
        ):
            at = partial(_ns, since_epoch)
            span = self._tracer.start_span(name, attributes=attributes, start_time=at(began))
            span.end(at(ended))


def _told(record: RequestRecord) -> dict[str, Any]:
    told = {
        "sightline.request_id": record.id,
        "sightline.model": record.model,
        "sightline.key": record.key,
    }
    return {name: value for name, value in told.items() if value is not None}


def _ns(since_epoch: float, monotonic: float) -> int:
    return int((since_epoch + monotonic) * 1e9)
