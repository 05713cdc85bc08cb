"""OpenTelemetry traces: when, what they tell, and that they arrive."""

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from asgi import until
from conftest import encoded
from fabricate import TinyStylizer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from service import edge
from service.app import create_app
from service.errors import TracingError
from service.settings import Settings
from service.tracing import is_wanted, provider_from_environment

PICTURE = encoded((200, 0, 0))
RAW = {"content-type": "image/png"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def serving(models: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(models=models))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        await until(lambda: app.state.sightline.registry.ready)
        yield client


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where the spans of applications made from now on end up."""
    found = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(edge, "provider_from_environment", lambda: provider)
    return found


def by_kind(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The span of the only request, and those below it."""
    spans = exporter.get_finished_spans()
    (request,) = (span for span in spans if span.kind is SpanKind.SERVER)
    return request, [span for span in spans if span is not request]


async def test_a_request_is_a_span_that_continues_its_trace_with_a_span_a_stage(
    models: Path, exporter: InMemorySpanExporter
) -> None:
    async with serving(models) as client:
        headers = RAW | TRACEPARENT | {"x-request-id": "me"}
        assert (await client.post("/classify", content=PICTURE, headers=headers)).is_success
    request, stages = by_kind(exporter)
    assert request.name == "POST /classify"
    assert request.context.trace_id == int(TRACE, 16)
    assert request.parent
    assert request.parent.span_id == int(PARENT, 16)
    assert request.attributes
    assert request.attributes["http.route"] == "/classify"
    assert request.attributes["sightline.model"] == "tiny"
    assert request.attributes["sightline.request_id"] == "me"
    assert [span.name for span in stages] == ["wait", "decode", "queue", "run"]
    before = request.start_time
    for span in stages:
        assert span.parent
        assert span.parent.span_id == request.context.span_id
        assert span.attributes == {"sightline.model": "tiny"}
        assert before is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert before <= span.start_time + 1_000_000  # the clocks are read one after the other
        assert span.start_time <= span.end_time
        before = span.start_time
    assert request.end_time
    assert stages[-1].end_time
    assert stages[-1].end_time <= request.end_time + 1_000_000


async def test_every_picture_of_a_request_has_its_stages(
    models: Path, exporter: InMemorySpanExporter
) -> None:
    TinyStylizer().write(models)
    async with serving(models) as client:
        files = [("file", PICTURE), ("file", b"no picture"), ("file", PICTURE)]
        assert (await client.post("/classify", files=files)).is_success
        assert sum(span.name == "run" for span in by_kind(exporter)[1]) == 2
        exporter.clear()
        pictures = [("content", PICTURE), ("style", PICTURE)]
        assert (await client.post("/stylize", files=pictures)).is_success
        assert sum(span.name == "run" for span in by_kind(exporter)[1]) == 2


async def test_an_error_is_told_and_routine_questions_are_not(
    models: Path, exporter: InMemorySpanExporter
) -> None:
    async with serving(models) as client:
        for path in ("/healthz", "/readyz", "/metrics", "/healthz/inference"):
            await client.get(path)
        assert (await client.get("/nothing")).status_code == 404
    request, stages = by_kind(exporter)
    assert request.attributes
    assert 404 in request.attributes.values()
    assert stages == []


async def test_a_trace_that_is_not_sampled_costs_no_stages(
    models: Path, exporter: InMemorySpanExporter
) -> None:
    async with serving(models) as client:
        headers = RAW | {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        assert (await client.post("/classify", content=PICTURE, headers=headers)).is_success
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "eye"}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_switch_traces_on(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted
    provider = provider_from_environment(environment)
    assert (provider is not None) is wanted
    if provider is not None:
        name = environment.get("OTEL_SERVICE_NAME", "sightline")
        assert provider.resource.attributes["service.name"] == name
        provider.shutdown()


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "carrier-pigeon"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_an_exporter_that_is_not_installed_stops_the_start(environment: dict[str, str]) -> None:
    with pytest.raises(TracingError, match=r"no exporter of traces .* is installed"):
        provider_from_environment(environment)


def test_without_the_packages_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingError, match="with its extra 'otel'"):
        provider_from_environment({"OTEL_TRACES_EXPORTER": "otlp"})


def test_no_sdk_is_imported_unless_it_is_wanted(tmp_path: Path) -> None:
    code = (
        "import sys; from service.app import create_app; from service.settings import Settings\n"
        f"create_app(Settings(models={str(tmp_path)!r})).openapi()\n"
        "sdk = ('opentelemetry.sdk', 'opentelemetry.exporter')\n"
        "print([name for name in sys.modules if name.startswith(sdk)])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """The address of a receiver of OTLP over HTTP, and what it received."""
    received: list[ExportTraceServiceRequest] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


async def test_spans_arrive_at_a_collector_at_the_latest_when_the_service_stops(
    models: Path,
    collector: tuple[str, list[ExportTraceServiceRequest]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, received = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "eye")
    async with serving(models) as client:
        headers = RAW | TRACEPARENT
        assert (await client.post("/classify", content=PICTURE, headers=headers)).is_success
    sent = [resource for request in received for resource in request.resource_spans]
    assert {
        attribute.value.string_value
        for resource in sent
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    } == {"eye"}
    spans = [span for each in sent for scope in each.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"POST /classify", "wait", "decode", "queue", "run"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}


async def test_a_collector_that_is_away_harms_no_request(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    async with serving(models) as client:
        assert (await client.post("/classify", content=PICTURE, headers=RAW)).is_success
