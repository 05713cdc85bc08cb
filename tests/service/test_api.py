"""Every route: what it answers, and that the OpenAPI document says so."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import encoded
from documented import client_of
from fabricate import Tiny
from fastapi import FastAPI
from pictures import saved
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from service import errors, openapi
from service.app import create_app
from service.registry import Registry
from service.settings import Settings
from service.tasks import TASKS

DOCUMENT = Path(__file__).parents[2] / "docs/openapi.json"
RED = encoded((250, 0, 0))
GREY = encoded((90, 90, 90))
RAW = {"content-type": "image/png"}


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application that holds every answer against the OpenAPI document."""
    async with client_of(app) as http:
        yield http


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The tiny classifier; one with many labels that tie; one that gives no finite number."""
    root = tmp_path / "models"
    root.mkdir()
    Tiny(poison=7).write(root)
    Tiny("ties", labels=tuple(map(str, range(300))), default=False).write(root)
    Tiny("nan", gain=float("nan"), default=False).write(root)
    return root


def kind(response: httpx.Response) -> str:
    """The last word of a problem's type."""
    return str(response.json()["type"]).removeprefix("urn:sightline:problem:")


async def classify(client: httpx.AsyncClient, picture: bytes = RED, **query: Any) -> httpx.Response:
    """Post one picture."""
    return await client.post("/classify", params=query, content=picture, headers=RAW)


def test_the_committed_document_is_that_of_the_routes() -> None:
    assert DOCUMENT.read_text() == openapi.document(), "run: make generate"


def test_the_document_names_every_status_an_endpoint_for_pictures_can_give() -> None:
    def below(error: type[errors.SightlineError]) -> Iterator[type[errors.SightlineError]]:
        yield error
        for each in error.__subclasses__():
            yield from below(each)

    # Nobody is there to see the first; the others answer who wants to change what is served.
    not_theirs = (errors.ClientGoneError, errors.DisabledError)
    theirs = set(below(errors.SightlineError)) - set(not_theirs)
    statuses = {str(error.status) for error in theirs}
    for path, operations in json.loads(DOCUMENT.read_text())["paths"].items():
        for operation in operations.values():
            if "requestBody" in operation and "repository" not in operation["tags"]:
                negotiates = "Vary" in operation["responses"]["200"].get("headers", {})
                wanted = statuses if negotiates else statuses - {"406"}
                assert wanted | {"200"} == operation["responses"].keys(), path


async def test_health_readiness_and_models_are_told(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = (await client.get("/readyz")).json()
    assert ready["ready"] is True
    assert ready["device"] == "cpu"
    assert ready["refused"] == {}
    assert sorted(ready["models"]) == ["nan", "ties", "tiny"]
    listed = (await client.get("/models")).json()
    assert {model["name"]: model["default"] for model in listed} == {
        "nan": False,
        "ties": False,
        "tiny": True,
    }
    for summary in listed:
        detail = (await client.get(f"/models/{summary['name']}")).json()
        assert summary.items() <= detail.items()
        assert detail["manifest"]["name"] == summary["name"]
        assert detail["slots"] >= 1
        assert detail["max_batch"] >= 1


async def test_the_document_and_its_page_are_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == json.loads(DOCUMENT.read_text())
    assert (await client.get("/docs")).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/classify/tiny", "/models/a/b", "/favicon.ico"])
async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json()["title"] == "Not Found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/classify", "POST"),
        ("GET", "/detect", "POST"),
        ("PUT", "/classify", "POST"),
        ("POST", "/models", "GET"),
        ("DELETE", "/models/tiny", "GET"),
        ("POST", "/healthz", "GET"),
        ("POST", "/readyz", "GET"),
        ("POST", "/metrics", "GET"),
    ],
)
async def test_another_method_is_a_problem_that_names_the_right_one(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert response.json()["title"] == "Method Not Allowed"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("topk=3", "topk"),
        ("top_k=3&colour=red", "colour"),
        ("top_k=0", "top_k"),
        ("top_k=1001", "top_k"),
        ("top_k=many", "top_k"),
        ("top_k=2.5", "top_k"),
        ("top_k=", "top_k"),
        ("threshold=-0.1", "threshold"),
        ("threshold=1.1", "threshold"),
        ("threshold=nan", "threshold"),
        ("threshold=inf", "threshold"),
        ("threshold=high", "threshold"),
        ("model=" + "m" * 65, "model"),
        ("top_k=0&threshold=2", "top_k.*threshold"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(
    client: httpx.AsyncClient, query: str, named: str
) -> None:
    response = await client.post(f"/classify?{query}", content=RED, headers=RAW)
    assert response.status_code == 422
    assert kind(response) == "bad-parameter"
    assert re.search(named, response.json()["detail"])


async def test_a_model_is_chosen_by_name(client: httpx.AsyncClient) -> None:
    assert (await classify(client)).json()["model"]["name"] == "tiny"
    assert (await classify(client, model="ties")).json()["model"]["name"] == "ties"


@pytest.mark.parametrize("name", ["unknown", "Tiny", "../tiny", "tiny ", "%00", "\ud7ff"])
async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    response = await classify(client, model=name)
    assert response.status_code == 404
    assert kind(response) == "not-found"
    assert "tiny" in response.json()["detail"]


async def test_an_unknown_model_is_not_shown(client: httpx.AsyncClient) -> None:
    response = await client.get("/models/unknown")
    assert (response.status_code, kind(response)) == (404, "not-found")
    response = await client.get("/models/" + "m" * 65)
    assert (response.status_code, kind(response)) == (422, "bad-parameter")


async def test_a_model_of_another_task_is_not_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.app.TASKS", {**TASKS, "other": TASKS["classify"]})
    manifest = settings.models / "ties/manifest.json"
    manifest.write_text(manifest.read_text().replace('"task": "classify"', '"task": "other"'))
    async with running(settings) as app, client_of(app) as client:
        assert (await client.get("/models/ties")).json()["task"] == "other"
        response = await classify(client, model="ties")
        assert (response.status_code, kind(response)) == (404, "not-found")
        assert "'classify'" in response.json()["detail"]


@asynccontextmanager
async def running(settings: Settings, *, loaded: bool = True) -> AsyncIterator[FastAPI]:
    """An application in its life span."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        while loaded and not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        yield app


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Models do not load before the event is set, or the block left."""
    let_go = threading.Event()
    load_all = Registry.load_all

    def load_later(registry: Registry, without: Collection[str]) -> None:
        let_go.wait(30)
        load_all(registry, without)

    monkeypatch.setattr(Registry, "load_all", load_later)
    try:
        yield let_go
    finally:
        let_go.set()


async def test_while_models_load_the_service_lives_but_is_not_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(monkeypatch) as let_go:
        async with running(settings, loaded=False) as app, client_of(app) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/models")).json() == []
            for response in (
                await client.get("/readyz"),
                await client.get("/models/tiny"),
                await classify(client),
                await classify(client, model="tiny"),
            ):
                assert (response.status_code, kind(response)) == (503, "not-ready")
                assert int(response.headers["retry-after"]) >= 1
            let_go.set()
            while (await client.get("/readyz")).status_code == 503:
                await asyncio.sleep(0.005)
            assert (await classify(client)).status_code == 200


async def test_without_a_model_the_service_lives_and_says_why_it_is_not_ready(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/manifest.json").write_text("{}")
    async with running(Settings(models=tmp_path)) as app, client_of(app) as client:
        for response in (await client.get("/readyz"), await classify(client)):
            assert (response.status_code, kind(response)) == (503, "not-ready")
        assert "broken" in (await client.get("/readyz")).json()["detail"]
        refused = await classify(client, model="broken")
        assert (refused.status_code, kind(refused)) == (503, "not-ready")


async def test_a_refused_model_is_named_while_the_others_serve(settings: Settings) -> None:
    (settings.models / "ties/golden.npz").write_bytes(b"altered")
    async with running(settings) as app, client_of(app) as client:
        ready = (await client.get("/readyz")).json()
        assert sorted(ready["models"]) == ["nan", "tiny"]
        assert "sha256" in ready["refused"]["ties"]
        assert (await classify(client)).status_code == 200
        assert (await classify(client, model="ties")).status_code == 503


@pytest.mark.parametrize(
    ("picture", "status", "what"),
    [
        (b"", 400, "bad-request"),
        (b"no picture", 415, "unsupported-image"),
        (RED[:40], 422, "undecodable-image"),
    ],
)
async def test_a_bad_picture_is_a_problem_of_its_kind(
    client: httpx.AsyncClient, picture: bytes, status: int, what: str
) -> None:
    response = await classify(client, picture)
    assert (response.status_code, kind(response)) == (status, what)


async def test_a_full_model_answers_busy(app: FastAPI, client: httpx.AsyncClient) -> None:
    admission = app.state.sightline.registry.models["tiny"].admission
    with admission.admit(admission.capacity):
        response = await classify(client)
    assert (response.status_code, kind(response)) == (429, "busy")
    assert int(response.headers["retry-after"]) >= 1
    assert (await classify(client)).status_code == 200


async def test_a_passed_deadline_answers_late(settings: Settings) -> None:
    narrow = settings.model_copy(update={"timeout_s": 1e-9})
    async with running(narrow) as app, client_of(app) as client:
        response = await classify(client)
        assert (response.status_code, kind(response)) == (504, "late")
        counted = samples((await client.get("/metrics")).text)
        assert counted["sightline_late_total", "model=tiny,task=classify"] == 1


async def test_a_picture_over_a_limit_answers_too_large(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_pixels": 255})
    async with running(narrow) as app, client_of(app) as client:
        response = await classify(client)
        assert (response.status_code, kind(response)) == (413, "too-large")


async def test_a_model_that_fails_is_a_problem_and_the_service_lives(
    client: httpx.AsyncClient,
) -> None:
    poison = encoded((7, 0, 0))
    for response in (await classify(client, model="nan"), await classify(client, poison)):
        assert (response.status_code, kind(response)) == (500, "inference-failed")
    together = [("file", ("a.png", RED)), ("file", ("b.png", poison))]
    answers = (await client.post("/classify", files=together)).json()
    assert answers[0]["predictions"][0]["label"] == "red"
    assert errors.Problem.model_validate(answers[1]).status == 500
    assert (await classify(client)).status_code == 200


async def test_what_nobody_foresaw_is_a_problem_without_a_trace(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.state.sightline.inference), "answer", broken)
        response = await classify(client)
    assert (response.status_code, kind(response)) == (500, "internal-error")
    assert "secret" not in response.text
    assert (await classify(client)).status_code == 200


async def test_the_best_labels_come_first_and_no_more_than_asked(client: httpx.AsyncClient) -> None:
    picture = encoded((200, 150, 100))
    scores = np.exp(np.array([20.0, 15.0, 10.0]) - 20)
    scores /= scores.sum()
    for top_k in (1, 2, 3, 1000):
        body = (await classify(client, picture, top_k=top_k)).json()
        found = body["predictions"]
        assert [p["label"] for p in found] == ["red", "green", "blue"][:top_k]
        assert [p["index"] for p in found] == [0, 1, 2][:top_k]
        assert [p["score"] for p in found] == pytest.approx(scores[:top_k], abs=1e-5)
    assert len((await classify(client, model="ties")).json()["predictions"]) == 5


@pytest.mark.parametrize("top_k", [1, 2, 7, 299, 300])
async def test_labels_that_tie_come_in_their_own_order(
    client: httpx.AsyncClient, top_k: int
) -> None:
    body = (await classify(client, GREY, model="ties", top_k=top_k)).json()
    assert [p["index"] for p in body["predictions"]] == list(range(top_k))
    body = (await classify(client, RED, model="ties", top_k=top_k)).json()
    reds = list(range(0, 300, 3))
    assert [p["index"] for p in body["predictions"]][:100] == reds[:top_k]


async def test_the_threshold_leaves_out_lower_scores_and_keeps_equal_ones(
    client: httpx.AsyncClient,
) -> None:
    even = encoded((90, 90, 30))  # logits 9, 9, 3
    half = 1 / (2 + np.exp(-6))
    for threshold, labels in {
        0: ["red", "green", "blue"],
        0.01: ["red", "green"],
        half - 1e-9: ["red", "green"],
        half + 1e-9: [],
        1: [],
    }.items():
        found = (await classify(client, even, threshold=threshold)).json()["predictions"]
        assert [p["label"] for p in found] == labels


async def test_the_picture_is_described_as_a_person_sees_it(client: httpx.AsyncClient) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    data = saved(Image.new("RGB", (1600, 800)), "JPEG", exif=tags)
    assert (await classify(client, data)).json()["image"] == {"width": 800, "height": 1600}


def samples(text: str) -> dict[tuple[str, str], float]:
    """Each sample's value by its name and its labels as text."""
    return {
        (sample.name, ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_move_with_what_happens(app: FastAPI, client: httpx.AsyncClient) -> None:
    async def scrape() -> Callable[[str, str], float]:
        response = await client.get("/metrics")
        found = samples(response.text)
        return lambda name, labels: found[f"sightline_{name}", labels]

    before = await scrape()
    tiny = "model=tiny,task=classify"
    await classify(client)
    await classify(client, b"no picture")
    await classify(client, model="nan")
    admission = app.state.sightline.registry.models["tiny"].admission
    with admission.admit(admission.capacity):
        await classify(client)
    after = await scrape()

    def grew(name: str, labels: str) -> float:
        return after(name, labels) - before(name, labels)

    for stage in ("decode", "queue", "run", "total"):
        assert grew("stage_seconds_count", f"model=tiny,stage={stage},task=classify") == 1
        assert grew("stage_seconds_sum", f"model=tiny,stage={stage},task=classify") >= 0
    assert grew("stage_seconds_sum", "model=tiny,stage=total,task=classify") > 0
    assert grew("batch_size_count", tiny) == 1
    assert grew("batch_size_sum", tiny) == 1
    assert grew("pictures_total", "model=tiny,outcome=answered,task=classify") == 1
    assert grew("pictures_total", "model=tiny,outcome=failed,task=classify") == 1
    assert grew("pictures_total", "model=nan,outcome=failed,task=classify") == 1
    assert grew("rejected_total", tiny) == 1
    for still in ("cancelled_total", "late_total", "queued", "in_flight"):
        assert grew(still, tiny) == 0
    assert after("http_responses_total", "route=/classify,status=200") == 1
    assert after("http_responses_total", "route=/classify,status=415") == 1
    assert after("http_responses_total", "route=/classify,status=429") == 1
    cpus = app.state.sightline.device.cpus
    assert after("device", f"cpus={cpus},degraded=false,device=cpu") == 1


async def test_a_scanner_makes_no_new_time_series(client: httpx.AsyncClient) -> None:
    for number in range(20):
        await client.get(f"/wp-admin/{number}")
        await client.get(f"/models/{number}")
    routes = {
        labels
        for name, labels in samples((await client.get("/metrics")).text)
        if name == "sightline_http_responses_total"
    }
    assert routes <= {
        "route=/models/{name},status=404",
        "route=unmatched,status=404",
        "route=/metrics,status=200",
    }


async def test_the_device_header_says_when_it_is_less_than_promised(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    assert (await classify(client)).headers["sightline-device"] == "cpu"
    state = app.state.sightline
    app.state.sightline = replace(state, device=replace(state.device, degraded="no driver"))
    assert (await classify(client)).headers["sightline-device"] == "cpu; degraded"
    assert (await client.get("/readyz")).json()["degraded"] == "no driver"
