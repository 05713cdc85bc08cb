"""API keys, scopes and limits in front of the routes, in process."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi import Client, until
from conftest import encoded
from documented import client_of
from fastapi import FastAPI

from service import keys as keys_module
from service.app import create_app
from service.errors import KeysError
from service.guard import Guard, Policy
from service.keys import hash_of
from service.settings import Settings

INFER, ADMIN, SCRAPE = "infer-key", "admin-key", "scrape-key"
KEYS = (
    {"name": "ci", "sha256": hash_of(INFER)},
    {"name": "ops", "sha256": hash_of(ADMIN), "scopes": ["admin"]},
    {"name": "prometheus", "sha256": hash_of(SCRAPE), "scopes": ["metrics"]},
)
PICTURE = encoded((200, 0, 0))

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await until(lambda: app.state.sightline.registry.ready)
        yield client


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": KEYS}))
    return path


@pytest.fixture
async def client(models: Path, keys_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(Settings(models=models, api_keys_file=keys_file)) as http:
        yield http


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def classify(client: httpx.AsyncClient, **headers: Any) -> httpx.Response:
    return await client.post(
        "/classify", content=PICTURE, headers={"content-type": "image/png", **headers}
    )


@pytest.mark.parametrize(
    "headers",
    [
        bearer(INFER),
        {"authorization": f"bearer  {INFER}"},
        {"x-api-key": INFER},
        {"x-api-key": INFER, "authorization": "Basic dXNlcjpwYXNz"},
        {"x-api-key": INFER, "authorization": "Bearer of something else"},
    ],
)
async def test_a_key_opens_in_either_header(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await classify(client, **headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("unknown"),
        bearer(""),
        {"authorization": INFER},
        {"authorization": f"Basic {INFER}"},
        {"authorization": "Bearer"},
        {"x-api-key": ""},
        {"x-api-key": hash_of(INFER)},
        {"x-api-key": b"\xe9"},
    ],
)
async def test_without_a_known_key_the_answer_is_401_and_says_how(
    client: httpx.AsyncClient, headers: dict[str, Any]
) -> None:
    response = await classify(client, **headers)
    assert response.status_code == 401
    assert response.json()["type"] == "urn:sightline:problem:unauthorized"
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="sightline"')
    presented = "x-api-key" in headers or headers.get("authorization", "").startswith("Bearer")
    assert ('error="invalid_token"' in challenge) is presented


async def test_a_refused_body_is_not_read(models: Path, keys_file: Path) -> None:
    app = create_app(Settings(models=models, api_keys_file=keys_file))
    client = Client(app, PICTURE)
    assert (await client.answer())["status"] == 401
    assert client.nothing_was_read


@pytest.mark.parametrize(
    ("key", "path", "status"),
    [
        (INFER, "/models", 200),
        (INFER, "/models/tiny", 200),
        (INFER, "/styles", 200),
        (INFER, "/nothing", 404),
        (INFER, "/metrics", 403),
        (INFER, "/v2/repository/models/tiny/load", 403),
        (ADMIN, "/models", 403),
        (ADMIN, "/metrics", 403),
        (SCRAPE, "/metrics", 200),
        (SCRAPE, "/models", 403),
        (SCRAPE, "/v2/repository/models/tiny/load", 403),
        (None, "/models", 401),
        (None, "/metrics", 401),
        (None, "/nothing", 401),
        (None, "/healthz/", 401),
        (None, "/v2/repository/models/tiny/load", 401),
        (None, "/healthz", 200),
        (None, "/readyz", 200),
        (None, "/healthz/inference", 200),
        (None, "/docs", 200),
        (None, "/openapi.json", 200),
        (None, "/static-offline-docs/swagger-ui.css", 200),
        (None, "/", 200),
        (None, "/web/main.js", 200),
        (None, "/web", 401),
        ("unknown", "/healthz", 200),
    ],
)
async def test_every_path_needs_its_scope(
    client: httpx.AsyncClient, key: str | None, path: str, status: int
) -> None:
    response = await client.get(path, headers=bearer(key) if key else {})
    assert response.status_code == status
    if status == 403:
        challenge = response.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert response.json()["detail"] in (
            f"the API key {name!r} has no scope {scope!r}"
            for name in ("ci", "ops", "prometheus")
            for scope in ("infer", "metrics", "admin")
            if f'scope="{scope}"' in challenge
        )


async def test_an_operator_may_open_metrics_and_close_the_document(
    models: Path, keys_file: Path
) -> None:
    settings = Settings(
        models=models, api_keys_file=keys_file, public_metrics=True, public_docs=False
    )
    async with serving(settings) as client:
        assert (await client.get("/metrics")).status_code == 200
        for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers=bearer(INFER))).status_code == 200


@pytest.mark.parametrize(
    ("root", "path", "needed"),
    [
        ("", "/v2/repository/models/a/load", "admin"),
        ("/vision", "/vision/v2/repository/models/a/load", "admin"),
        ("/vision", "/v2/repository/models/a/load", "admin"),
        ("/vision", "/vision/healthz", "nothing"),
        ("/vision", "/visionhealthz", "infer"),
        ("/vision", "/vision", "infer"),
        ("", "/v2/repository", "infer"),
    ],
)
async def test_a_path_is_seen_below_where_the_application_is_mounted(
    root: str, path: str, needed: str
) -> None:
    seen = []

    class Noting(Policy):
        def needed(self, path: str) -> Any:
            seen.append(super().needed(path))
            return "nothing"

    async def nothing(*_: Any) -> None:
        pass

    async def never() -> Any:
        raise AssertionError

    guard = Guard(nothing, policy=Noting(), keys=None, rate=None)
    await guard({"type": "http", "path": path, "root_path": root}, never, nothing)
    assert seen == [needed]


async def test_keys_are_rotated_while_the_service_runs(
    models: Path, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "REREAD_S", 0.001)
    async with serving(Settings(models=models, api_keys_file=keys_file)) as client:

        async def status_with(key: str) -> int:
            return (await client.get("/models", headers=bearer(key))).status_code

        async def becomes(key: str, status: int) -> None:
            async with asyncio.timeout(60):
                while await status_with(key) != status:
                    await asyncio.sleep(0.001)

        new = {"name": "ci-2", "sha256": hash_of("new")}
        keys_file.write_text(json.dumps({"keys": [*KEYS, new]}))
        await becomes("new", 200)
        assert await status_with(INFER) == 200
        keys_file.write_text(json.dumps({"keys": [new]}))
        await becomes(INFER, 401)
        assert await status_with("new") == 200


async def test_without_a_file_of_keys_everything_is_open(models: Path) -> None:
    async with serving(Settings(models=models)) as client:
        assert (await classify(client)).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        assert "ratelimit" not in (await client.get("/models")).headers


def limited(
    models: Path, keys_file: Path | None, *entries: dict[str, Any], **more: Any
) -> Settings:
    if keys_file is not None:
        keys_file.write_text(json.dumps({"keys": entries}))
    return Settings(models=models, api_keys_file=keys_file, **more)


async def test_a_key_has_its_own_limit_or_that_of_the_service(
    models: Path, keys_file: Path
) -> None:
    slow = {"name": "slow", "sha256": hash_of("slow"), "rate": "1/h"}
    usual = {"name": "usual", "sha256": hash_of("usual")}
    async with serving(limited(models, keys_file, slow, usual, rate_limit="2/h")) as client:
        first = await classify(client, **bearer("slow"))
        assert first.status_code == 200
        assert first.headers["ratelimit"] == '"requests";r=0;t=3600'
        refused = await classify(client, **bearer("slow"))
        assert refused.status_code == 429
        problem = refused.json()
        assert problem["type"] == "urn:sightline:problem:rate-limited"
        assert problem["detail"].startswith("the API key 'slow' has sent more than 1 requests in")
        assert 3590 <= int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["ratelimit-policy"] == '"requests";q=1;w=3600'
        for status in (200, 200, 429):
            assert (await classify(client, **bearer("usual"))).status_code == status
        for _ in range(5):  # what is open is not counted
            assert (await client.get("/readyz")).status_code == 200


async def test_a_stranger_does_not_use_up_a_limit(models: Path, keys_file: Path) -> None:
    only = {"name": "only", "sha256": hash_of("only"), "rate": "1/h"}
    async with serving(limited(models, keys_file, only)) as client:
        for _ in range(5):
            assert (await classify(client, **bearer("guess"))).status_code == 401
        assert (await classify(client, **bearer("only"))).status_code == 200


async def test_without_keys_each_address_has_the_limit(models: Path) -> None:
    app = create_app(limited(models, None, rate_limit="2/h"))
    async with app.router.lifespan_context(app):
        await until(lambda: app.state.sightline.registry.ready)

        async def statuses(host: str) -> list[int]:
            transport = httpx.ASGITransport(app, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return [(await client.get("/models")).status_code for _ in range(3)]

        assert await statuses("192.0.2.1") == [200, 200, 429]
        assert await statuses("192.0.2.2") == [200, 200, 429]
        assert await statuses("2001:db8::1") == [200, 200, 429]
        assert await statuses("2001:db8::2") == [429, 429, 429]
        assert await statuses("2001:db8:0:1::2") == [200, 200, 429]


async def test_a_client_without_an_address_is_not_limited(models: Path) -> None:
    """Behind a Unix socket, whoever listens to it says who is let in."""
    app: FastAPI = create_app(limited(models, None, rate_limit="1/h"))
    transport = httpx.ASGITransport(app, client=None)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for _ in range(3):
            assert (await client.get("/models")).status_code == 200


async def test_the_document_says_which_operations_need_a_key(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in ("/healthz", "/healthz/inference", "/readyz"):
                assert "security" not in operation
                assert "401" not in operation["responses"]
            else:
                assert operation["security"] == [{"bearer": []}, {"header": []}]
                assert operation["responses"].keys() >= {"401", "403", "429"}


async def test_where_there_are_no_keys_the_document_says_they_are_optional(models: Path) -> None:
    async with serving(Settings(models=models)) as client:
        document = (await client.get("/openapi.json")).json()
    assert {} in document["paths"]["/classify"]["post"]["security"]


def test_a_service_that_is_to_have_keys_does_not_start_without(models: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read"):
        create_app(Settings(models=models, api_keys_file=models / "none.json"))
