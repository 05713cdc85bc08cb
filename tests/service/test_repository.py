"""Triton's repository routes: what there is, load it, unload it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from asgi import Client, until
from fabricate import Tiny, put

from service.app import create_app
from service.settings import Settings

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
LOAD = "/v2/repository/models/{}/load"
UNLOAD = "/v2/repository/models/{}/unload"
INDEX = "/v2/repository/index"


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """Starts an application over ``tmp_path`` whose clients may load and unload."""

    @asynccontextmanager
    async def start(allow: bool = True) -> AsyncIterator[httpx.AsyncClient]:
        settings = Settings(models=tmp_path, device="cpu", cpus=1, allow_repository_control=allow)
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            await until(lambda: app.state.sightline.registry.ready)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                yield http

    return start


async def test_a_model_is_loaded_replaced_and_unloaded_by_request(
    tmp_path: Path, serving: Serving
) -> None:
    async with serving() as http:
        Tiny(name="a").write(tmp_path)
        assert (await http.get("/models")).json() == []
        for version in ("1", "2"):
            if version == "2":
                Tiny(name="a", version="2").write(tmp_path)
            response = await http.post(LOAD.format("a"))
            assert (response.status_code, response.content) == (200, b"")
            (shown,) = (await http.get("/models")).json()
            assert (shown["name"], shown["version"]) == ("a", version)
        response = await http.post(UNLOAD.format("a"), json={})
        assert (response.status_code, response.content) == (200, b"")
        assert (await http.get("/models")).json() == []
        response = await http.post(UNLOAD.format("a"))
        assert response.status_code == 404


async def test_the_index_tells_of_what_serves_what_is_refused_and_what_is_there(
    tmp_path: Path, serving: Serving
) -> None:
    for name in ("served", "replaced", "unloaded"):
        Tiny(name=name).write(tmp_path)
    async with serving() as http:
        await http.post(UNLOAD.format("unloaded"))
        folder = Tiny(name="replaced", version="2").write(tmp_path)
        (folder / "2" / "golden.npz").write_bytes(b"other")
        response = await http.post(LOAD.format("replaced"))
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"] == "urn:sightline:problem:model-unusable"
        why = response.json()["detail"]
        assert "golden.sha256" in why
        (tmp_path / "broken").mkdir()
        put(tmp_path / "broken", "{")
        ready = [
            {"name": "replaced", "version": "1", "state": "READY", "reason": ""},
            {"name": "served", "version": "1", "state": "READY", "reason": ""},
        ]
        assert (await http.post(INDEX, json={"ready": True})).json() == ready
        for body in (None, {}, {"ready": False}):
            response = await http.post(INDEX, content=json.dumps(body) if body else b"")
            assert response.json() == [
                {"name": "broken", "state": "UNAVAILABLE", "reason": "not loaded"},
                ready[0],
                {"name": "replaced", "version": "2", "state": "UNAVAILABLE", "reason": why},
                ready[1],
                {
                    "name": "unloaded",
                    "version": "1",
                    "state": "UNAVAILABLE",
                    "reason": "not loaded",
                },
            ]


async def test_control_is_refused_unless_allowed_and_the_problem_names_the_setting(
    tmp_path: Path, serving: Serving
) -> None:
    Tiny().write(tmp_path)
    async with serving(allow=False) as http:
        for path in (LOAD, UNLOAD):
            response = await http.post(path.format("tiny"))
            assert response.status_code == 403
            assert "SIGHTLINE_ALLOW_REPOSITORY_CONTROL=true" in response.json()["detail"]
        assert (await http.post(INDEX)).json()[0]["state"] == "READY"


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        (LOAD, '{"parameters": {"config": "{}"}}', 422, "'config' is not taken"),
        (LOAD, '{"parameters": {"unload_dependents": true}}', 422, "'unload_dependents'"),
        (UNLOAD, '{"parameters": {"unload_dependents": true}}', 404, "no model 'missing'"),
        (LOAD, '{"parameters": {}}', 404, "no model folder 'missing'"),
        (LOAD, '{"parameter": {}}', 422, "parameter: Extra inputs"),
        (LOAD, "{", 422, "Invalid JSON"),
        (UNLOAD, "[]", 422, "the body: Input should be an object"),
        (INDEX, '{"ready": 7}', 422, "ready"),
        (INDEX, b"\xff", 422, "Invalid JSON"),
        (INDEX, " " * 65_537, 413, "larger than 0.0625 MiB"),
        (LOAD.format("..%2Fother"), "", 404, "Not Found"),
        (LOAD.format("x" * 65), "", 422, "name"),
    ],
)
async def test_what_is_malformed_is_told_so(
    serving: Serving, path: str, body: str | bytes, status: int, detail: str
) -> None:
    async with serving() as http:
        response = await http.post(path.format("missing"), content=body)
        assert response.status_code == status
        assert detail in response.json()["detail"]


async def test_while_models_load_nothing_is_listed_or_changed(tmp_path: Path) -> None:
    app = create_app(Settings(models=tmp_path, device="cpu", allow_repository_control=True))
    for path in (INDEX, LOAD.format("tiny"), UNLOAD.format("tiny")):
        client = Client(app, b"", path=path)
        await client.answer()
        assert client.status == 503
    await app.state.sightline.registry.close()
    await app.state.sightline.inference.close()
