"""What stands around the routes: request ids, the log of requests, CORS, unexpected errors."""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi import until
from conftest import encoded

from service.app import create_app
from service.errors import InferenceError
from service.keys import hash_of
from service.logs import formatter_of
from service.settings import Settings

GENERATED = re.compile(r"[0-9a-f]{32}")
PICTURE = encoded((200, 0, 0))
RAW = {"content-type": "image/png"}
ORIGIN = "https://app.example"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        await until(lambda: app.state.sightline.registry.ready)
        yield app, client


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What the log of requests would be as JSON."""
    formatter = formatter_of("json")
    return [
        json.loads(formatter.format(record))
        for record in caplog.records
        if record.name == "service.access"
    ]


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.mark.parametrize("given", ["a", "01HX-7.b_c:d/e+f=g@h", "x" * 128])
async def test_a_plain_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/nothing", headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "é", 'a"b', "a\tb"])
async def test_any_other_request_id_is_replaced(
    client: httpx.AsyncClient, given: str | None
) -> None:
    headers = {b"x-request-id": given.encode("latin-1")} if given is not None else {}
    response = await client.get("/nothing", headers=headers)
    assert GENERATED.fullmatch(response.headers["x-request-id"])
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_every_request_has_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    made = {(await client.get("/healthz")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


async def test_problems_among_several_answers_have_the_id_too(client: httpx.AsyncClient) -> None:
    files = [("file", PICTURE), ("file", b"no picture")]
    answers = (await client.post("/classify", files=files, headers={"x-request-id": "me"})).json()
    assert "request_id" not in answers[0]
    assert answers[1]["request_id"] == "me"


async def test_a_line_a_request_says_what_it_was(
    models: Path, tmp_path: Path, debug: pytest.LogCaptureFixture
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"name": "ci", "sha256": hash_of("k")}]}))
    async with serving(Settings(models=models, api_keys_file=keys)) as (_, client):
        headers = {"x-request-id": "me", "x-api-key": "k"}
        await client.post("/classify", content=PICTURE, headers=RAW | headers)
        await client.get("/models/tiny", headers=headers)
        await client.get("/no/such%0A%1B[31mpath" + "x" * 500, headers=headers)
        await client.get("/models")
    classify, show, unmatched, refused = lines_of(debug)
    assert classify.pop("duration_ms") > 0
    assert re.fullmatch(
        r"POST /classify 200 in [0-9.]+ ms, model tiny, key ci", classify.pop("message")
    )
    del classify["time"]
    assert classify == {
        "level": "INFO",
        "logger": "service.access",
        "request_id": "me",
        "method": "POST",
        "route": "/classify",
        "status": 200,
        "model": "tiny",
        "key": "ci",
        "client": "127.0.0.1",
    }
    assert (show["route"], show["key"]) == ("/models/{name}", "ci")
    assert unmatched["status"] == 404
    assert "route" not in unmatched
    assert len(unmatched["path"]) == 128
    assert "\n" not in unmatched["message"]
    assert "\x1b" not in unmatched["message"]
    assert (refused["status"], refused["path"]) == (401, "/models")
    assert "key" not in refused


async def test_routine_questions_are_logged_only_if_they_go_wrong(
    client: httpx.AsyncClient, debug: pytest.LogCaptureFixture
) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/healthz/inference"):
        await client.get(path)
    await client.get("/healthz/inference?model=none")
    *routine, wrong = lines_of(debug)
    assert {line["level"] for line in routine} == {"DEBUG"}
    assert (wrong["level"], wrong["status"]) == ("INFO", 404)


async def test_the_log_of_requests_can_be_switched_off(
    models: Path, debug: pytest.LogCaptureFixture
) -> None:
    async with serving(Settings(models=models, access_log=False)) as (_, client):
        response = await client.post("/classify", content=PICTURE, headers=RAW)
        assert response.headers["x-request-id"]
    assert lines_of(debug) == []


async def test_what_a_thread_logs_of_a_picture_has_the_id(
    models: Path, monkeypatch: pytest.MonkeyPatch, debug: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("deep inside")

    monkeypatch.setattr("service.job.prepare", broken)
    async with serving(Settings(models=models)) as (_, client):
        response = await client.post(
            "/classify", content=PICTURE, headers=RAW | {"x-request-id": "me"}
        )
    assert response.status_code == InferenceError.status
    (record,) = (r for r in debug.records if r.exc_info)
    line = json.loads(formatter_of("json").format(record))
    assert line["request_id"] == "me"
    assert "deep inside" in line["exc_info"]


async def test_what_nobody_foresaw_is_logged_with_the_id_and_answered_like_all_else(
    models: Path, monkeypatch: pytest.MonkeyPatch, debug: pytest.LogCaptureFixture
) -> None:
    settings = Settings(models=models, cors_origins=ORIGIN)
    async with serving(settings) as (app, client):

        async def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("a secret")

        monkeypatch.setattr(type(app.state.sightline.inference), "answer", broken)
        headers = RAW | {"x-request-id": "me", "origin": ORIGIN}
        response = await client.post("/classify", content=PICTURE, headers=headers)
        metrics = (await client.get("/metrics")).text
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == response.json()["request_id"] == "me"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "secret" not in response.text
    assert 'sightline_http_responses_total{route="/classify",status="500"} 1.0' in metrics
    (logged,) = (record for record in debug.records if record.exc_info)
    assert "a secret" in str(logged.exc_info)
    assert [line["status"] for line in lines_of(debug)][:1] == [500]


async def test_cors_is_off_unless_origins_are_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/models", headers={"origin": ORIGIN})
    assert not [name for name in response.headers if name.startswith("access-control")]
    asking = {"origin": ORIGIN, "access-control-request-method": "POST"}
    assert (await client.options("/classify", headers=asking)).status_code == 405


async def test_pages_of_named_origins_may_ask_and_read_problems(
    models: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"name": "ci", "sha256": hash_of("k")}]}))
    origins = f"{ORIGIN}, http://localhost:5173"
    settings = Settings(models=models, cors_origins=origins, api_keys_file=keys)
    async with serving(settings) as (_, client):
        asking = {
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-api-key, content-type",
        }
        preflight = await client.options("/classify", headers=asking)  # browsers send no key here
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert "x-api-key" in preflight.headers["access-control-allow-headers"].lower()
        for origin in (ORIGIN, "http://localhost:5173"):
            for path, status in (("/models", 401), ("/healthz", 200)):
                response = await client.get(path, headers={"origin": origin})
                assert response.status_code == status
                assert response.headers["access-control-allow-origin"] == origin
                assert "X-Request-ID" in response.headers["access-control-expose-headers"]
        stranger = await client.get("/models", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers
        asking["origin"] = "https://evil.example"
        assert (await client.options("/classify", headers=asking)).status_code == 400


async def test_every_origin_may_be_let_in(models: Path) -> None:
    async with serving(Settings(models=models, cors_origins="*")) as (_, client):
        response = await client.get("/healthz", headers={"origin": "https://any.example"})
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("origins", ["app.example", "https://a/path", "https://a,", "https://*.b"])
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Settings(cors_origins=origins)


def test_what_is_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="is no rate"):
        Settings(rate_limit="fast")
