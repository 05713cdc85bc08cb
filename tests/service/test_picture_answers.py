"""``/detect``, from bytes to JSON or a picture, over a tiny real detector."""

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import encoded
from documented import client_of
from fabricate import Tiny, TinyDetector
from fastapi import FastAPI
from numpy.typing import NDArray
from pictures import exif, saved, stored_as
from PIL import Image

from service import job
from service.app import create_app
from service.drawing import PALETTE, draw_boxes
from service.promise import Promise
from service.rendering import MEDIA_TYPES, Rendering
from service.settings import Settings

DETECTOR = TinyDetector()
SIDE = DETECTOR.size
WHITE = encoded((255, 255, 255), size=200)
RAW = {"content-type": "image/png"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The tiny detector, one that squashes, and a classifier."""
    root = tmp_path / "models"
    root.mkdir()
    DETECTOR.write(root)
    TinyDetector("squashing", resize="squash", default=False).write(root)
    Tiny().write(root)
    return root


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application that holds every answer against the OpenAPI document."""
    async with client_of(app) as http:
        yield http


async def post(
    client: httpx.AsyncClient, picture: bytes = WHITE, accept: str | None = None, **query: Any
) -> httpx.Response:
    headers = RAW if accept is None else {**RAW, "accept": accept}
    return await client.post("/detect", params=query, content=picture, headers=headers)


def kind(response: httpx.Response) -> str:
    return str(response.json()["type"]).removeprefix("urn:sightline:problem:")


def boxes_of(body: Any) -> NDArray[np.float64]:
    """Boxes ``[K,4]`` of an answer."""
    corners = ("x_min", "y_min", "x_max", "y_max")
    return np.array([[found["box"][corner] for corner in corners] for found in body["detections"]])


async def test_a_picture_is_looked_at_whichever_way_it_is_sent(client: httpx.AsyncClient) -> None:
    ways = [
        await client.post("/detect", files={"file": ("street.png", WHITE)}),
        await client.post("/detect", content=WHITE, headers=RAW),
        await client.post("/detect", json={"image": base64.b64encode(WHITE).decode()}),
    ]
    for response in ways:
        assert response.status_code == 200
        body = response.json()
        assert body["model"] == {"name": "boxes", "version": "1", "precision": "fp32"}
        assert body["image"] == {"width": 200, "height": 200}
        assert set(body["timing_ms"]) == {"decode", "queue", "run", "total"}
        # The second box overlaps the first, of the same label, by more than the default.
        assert body["detections"] == [
            {"label": "cat", "index": 0, "score": 1.0, "box": box(50, 50, 150, 150)},
            {"label": "dog", "index": 1, "score": 0.7, "box": box(0, 100, 100, 200)},
            {"label": "traffic light, red", "index": 2, "score": 0.4, "box": box(100, 0, 200, 50)},
        ]
        assert response.headers["sightline-device"] == "cpu"
        assert response.headers["vary"] == "Accept"
        assert "server-timing" not in response.headers


def box(x_min: float, y_min: float, x_max: float, y_max: float) -> dict[str, float]:
    return {"x_min": x_min, "y_min": y_min, "x_max": x_max, "y_max": y_max}


@pytest.mark.parametrize(
    ("query", "scores"),
    [
        ({}, [1.0, 0.7, 0.4]),
        ({"threshold": 0.5}, [1.0, 0.7]),
        ({"threshold": 0, "iou_threshold": 0.9}, [1.0, 0.9, 0.7, 0.4]),
        ({"max_detections": 2}, [1.0, 0.7]),
        ({"classes": "dog"}, [0.7]),
        ({"classes": "dog,cat"}, [1.0, 0.7]),
        ({"classes": ["dog", "traffic light, red"]}, [0.7, 0.4]),
        ({"classes": "cat", "threshold": 1}, [1.0]),
    ],
)
async def test_parameters_say_what_is_told(
    client: httpx.AsyncClient, query: dict[str, Any], scores: list[float]
) -> None:
    body = (await post(client, **query)).json()
    assert [found["score"] for found in body["detections"]] == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("threshold=1.1", "threshold"),
        ("threshold=nan", "threshold"),
        ("iou_threshold=-1", "iou_threshold"),
        ("iou_threshold=much", "iou_threshold"),
        ("max_detections=0", "max_detections"),
        ("max_detections=1001", "max_detections"),
        ("top_k=3", "top_k"),
        ("classes=bird", "'bird'"),
        ("classes=cat&classes=bird", "'bird'"),
        ("classes=cat,bird", "'bird'"),
        ("classes=", "''"),
        ("&".join(["classes=cat"] * 1001), "classes"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(
    client: httpx.AsyncClient, query: str, named: str
) -> None:
    response = await client.post(f"/detect?{query}", content=WHITE, headers=RAW)
    assert (response.status_code, kind(response)) == (422, "bad-parameter")
    assert named in response.json()["detail"]


async def test_an_unknown_class_is_refused_before_the_body_is_looked_at(
    client: httpx.AsyncClient,
) -> None:
    response = await post(client, b"no picture", classes="bird")
    assert response.status_code == 422
    assert "GET /models/boxes" in response.json()["detail"]
    labels = (await client.get("/models/boxes")).json()["manifest"]["labels"]
    for label in labels:
        assert (await post(client, classes=label)).status_code == 200


async def test_a_model_of_another_task_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await post(client, model="tiny")).status_code == 404
    assert (await post(client, model="squashing")).json()["model"]["name"] == "squashing"


@pytest.mark.parametrize("size", [(400, 100), (100, 400), (16, 16), (50, 7), (1000, 999)])
@pytest.mark.parametrize("model", ["boxes", "squashing"])
async def test_boxes_are_in_pixels_of_the_original(
    client: httpx.AsyncClient, size: tuple[int, int], model: str
) -> None:
    width, height = size
    picture = saved(Image.new("RGB", size, (255, 255, 255)), "PNG")
    body = (await post(client, picture, model=model, iou_threshold=1, threshold=0)).json()
    if model == "squashing":
        scale, offset, mean = np.array([SIDE / width, SIDE / height]), np.zeros(2), 1.0
    else:
        factor = min(SIDE / width, SIDE / height)
        inner = np.array([max(1, round(width * factor)), max(1, round(height * factor))])
        scale, offset = inner / size, (SIDE - inner) // 2
        seen = inner.prod() / SIDE**2
        mean = seen + (1 - seen) * 114 / 255
    boxes, scores = DETECTOR.expected(mean)
    corners = (boxes.reshape(-1, 2, 2) - offset) / scale
    expected = corners.clip(0, (width, height)).reshape(-1, 4).round(2)
    whole = (expected[:, :2] < expected[:, 2:]).all(1)
    found = boxes_of(body)
    assert found == pytest.approx(expected[whole], abs=0.011)
    assert [each["score"] for each in body["detections"]] == pytest.approx(scores[whole], abs=1e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_turned_picture_has_its_boxes_where_a_person_sees_them(
    client: httpx.AsyncClient, orientation: int
) -> None:
    upright = np.full((100, 300, 3), 255, np.uint8)
    stored = Image.fromarray(stored_as(orientation, upright))
    picture = saved(stored, "JPEG", exif=exif(orientation), quality=95)
    plain = (await post(client, saved(Image.fromarray(upright), "PNG"))).json()
    turned = (await post(client, picture)).json()
    assert turned["image"] == plain["image"] == {"width": 300, "height": 100}
    assert turned["detections"] == plain["detections"]
    drawn = await post(client, picture, "image/png")
    assert Image.open(io.BytesIO(drawn.content)).size == (300, 100)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("size", [(16, 16), (640, 480), (301, 999)])
async def test_a_picture_comes_back_with_its_detections_drawn(
    client: httpx.AsyncClient, media_type: str, size: tuple[int, int]
) -> None:
    picture = saved(Image.new("RGB", size, (255, 255, 255)), "PNG")
    body = (await post(client, picture)).json()
    response = await post(client, picture, media_type)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["sightline-device"] == "cpu"
    assert response.headers["vary"] == "Accept"
    stages = [part.partition(";dur=") for part in response.headers["server-timing"].split(", ")]
    assert [stage for stage, _, _ in stages] == ["decode", "queue", "run", "total"]
    assert all(float(ms) >= 0 for _, _, ms in stages)
    found = Image.open(io.BytesIO(response.content))
    assert found.get_format_mimetype() == media_type
    assert found.size == size
    pixels = np.asarray(found.convert("RGB"), int)
    for each in body["detections"]:
        colour = PALETTE[each["index"]]
        row = round((each["box"]["y_min"] + each["box"]["y_max"]) / 2)
        column = round(each["box"]["x_min"])
        around = pixels[row : row + 2, column : column + 2].reshape(-1, 3)
        assert np.abs(around - colour).max(1).min() < 130  # WebP blurs colours; white is 195 off


async def test_what_is_asked_for_is_what_is_drawn(client: httpx.AsyncClient) -> None:
    def colours(response: httpx.Response) -> set[int]:
        pixels = np.asarray(Image.open(io.BytesIO(response.content)))
        return {index for index in range(3) if (pixels == PALETTE[index]).all(-1).any()}

    assert colours(await post(client, WHITE, "image/png")) == {0, 1, 2}
    assert colours(await post(client, WHITE, "image/png", classes="dog")) == {1}
    assert colours(await post(client, WHITE, "image/png", threshold=0.5)) == {0, 1}
    nothing = await post(client, encoded((0, 0, 0), size=SIDE), "image/png")
    assert not np.asarray(Image.open(io.BytesIO(nothing.content))).any()


@pytest.mark.parametrize("accept", [None, "", "*/*", "application/json", "image/png;q=0.5, */*"])
async def test_json_is_the_answer_unless_a_picture_is_wanted(
    client: httpx.AsyncClient, accept: str | None
) -> None:
    response = await post(client, WHITE, accept)
    assert response.headers["content-type"] == "application/json"


async def test_accept_in_several_lines_is_one(client: httpx.AsyncClient) -> None:
    lines = [*RAW.items(), ("accept", "application/json;q=0.5"), ("accept", "image/webp")]
    response = await client.post("/detect", content=WHITE, headers=lines)
    assert response.headers["content-type"] == "image/webp"


async def test_another_media_type_is_refused_before_the_body_is_looked_at(
    client: httpx.AsyncClient,
) -> None:
    response = await post(client, b"no picture", "image/gif")
    assert (response.status_code, kind(response)) == (406, "not-acceptable")
    assert response.headers["vary"] == "Accept"
    for media_type in ("application/json", *MEDIA_TYPES):
        assert media_type in response.json()["detail"]


async def test_a_task_that_draws_nothing_answers_in_json_whatever_is_accepted(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/classify", content=WHITE, headers={**RAW, "accept": "image/png"})
    assert response.headers["content-type"] == "application/json"
    assert "vary" not in response.headers


async def test_several_pictures_have_their_answers_in_json_or_none(
    client: httpx.AsyncClient,
) -> None:
    files = [("file", ("a.png", WHITE)), ("file", ("b.txt", b"no picture"))]
    good, bad = (await client.post("/detect", files=files)).json()
    assert len(good["detections"]) == 3
    assert bad["status"] == 415
    either = {"accept": "image/png, application/json;q=0.1"}
    assert len((await client.post("/detect", files=files, headers=either)).json()) == 2
    response = await client.post("/detect", files=files, headers={"accept": "image/png"})
    assert (response.status_code, kind(response)) == (406, "not-acceptable")
    assert "several pictures" in response.json()["detail"]


@pytest.mark.parametrize(
    ("picture", "status"), [(b"", 400), (b"no picture", 415), (WHITE[:60], 422)]
)
async def test_a_bad_picture_is_a_problem_though_a_picture_was_asked_for(
    client: httpx.AsyncClient, picture: bytes, status: int
) -> None:
    response = await post(client, picture, "image/png")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_picture_too_long_for_webp_is_not_acceptable(client: httpx.AsyncClient) -> None:
    picture = saved(Image.new("1", (16_384, 400)), "PNG")
    response = await post(client, picture, "image/webp")
    assert (response.status_code, kind(response)) == (406, "not-acceptable")
    assert "image/png" in response.json()["detail"]


async def test_a_picture_is_drawn_in_a_thread_for_that_and_counted_once(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, threads = Rendering.render, list[str]()

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return render(*arguments)

    monkeypatch.setattr(Rendering, "render", watched)
    await post(client, WHITE, "image/jpeg")
    assert [name.partition("_")[0] for name in threads] == ["drawing"]
    meter = app.state.sightline.registry.models["boxes"].meter
    assert meter.answered._value.get() == 1


@pytest.mark.parametrize("cpus", [1, 2])
async def test_drawings_do_not_keep_other_pictures_waiting(
    models: Path, monkeypatch: pytest.MonkeyPatch, cpus: int
) -> None:
    drawing, go_on = threading.Event(), threading.Event()

    def held(*arguments: Any) -> Any:
        drawing.set()
        assert go_on.wait(60)
        return draw_boxes(*arguments)

    monkeypatch.setattr("service.tasks.detect.draw_boxes", held)
    app = create_app(Settings(models=models, device="cpu", cpus=cpus, timeout_s=10))
    async with app.router.lifespan_context(app), client_of(app) as client:
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        meter = app.state.sightline.registry.models["boxes"].meter
        drawn = [asyncio.create_task(post(client, WHITE, "image/png")) for _ in range(cpus + 1)]
        try:
            while not drawing.is_set():
                await asyncio.sleep(0.005)
            assert (await post(client)).status_code == 200
            other = await client.post("/classify", content=WHITE, headers=RAW)
            assert other.status_code == 200
            assert meter.answered._value.get() == 1  # the drawings are held
        finally:
            go_on.set()
        assert [(await each).status_code for each in drawn] == [200] * (cpus + 1)
    ours = ("pictures", "drawing")
    assert not [each for each in threading.enumerate() if each.name.startswith(ours)]


async def test_a_drawing_without_room_among_the_bodies_is_refused_as_busy(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = app.state.sightline
    bodies = state.inference._bodies
    drawn = await post(client, WHITE, "image/png")
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "max_bytes", len(drawn.content) - 1)
        assert len(WHITE) < bodies.max_bytes
        response = await post(client, WHITE, "image/png")
        assert (await post(client)).status_code == 200  # JSON is not held
    assert (response.status_code, kind(response)) == (429, "busy")
    assert response.headers["retry-after"] == "1"
    assert state.registry.models["boxes"].meter.rejected._value.get() == 1
    assert bodies.held == 0
    assert (await post(client, WHITE, "image/png")).content == drawn.content


async def test_a_drawing_that_breaks_is_a_problem_and_is_logged(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("an oversight")

    monkeypatch.setattr("service.tasks.detect.draw_boxes", broken)
    response = await post(client, WHITE, "image/png")
    assert (response.status_code, kind(response)) == (500, "inference-failed")
    assert "oversight" not in response.text
    assert "an oversight" in caplog.text
    assert (await post(client)).status_code == 200


async def test_past_the_deadline_a_drawing_is_late_and_not_waited_for(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, go_on = threading.Event(), threading.Event()

    def held(*arguments: Any) -> Any:
        drawing.set()
        assert go_on.wait(60)
        return draw_boxes(*arguments)

    monkeypatch.setattr("service.tasks.detect.draw_boxes", held)
    inference = app.state.sightline.inference
    narrow = inference._settings.model_copy(update={"timeout_s": 0.3})
    monkeypatch.setattr(inference, "_settings", narrow)
    try:
        late = asyncio.create_task(post(client, WHITE, "image/png"))
        while not (drawing.is_set() or late.done()):
            await asyncio.sleep(0.005)
        assert (await client.get("/healthz")).status_code == 200  # the event loop is free
        response = await late
    finally:
        go_on.set()
    assert (response.status_code, kind(response)) == (504, "late")


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_picture_that_is_late_already_is_not_drawn(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, noticed: bool
) -> None:
    if not noticed:  # the event loop is behind: nobody has been told yet that it is late
        monkeypatch.setattr(Promise, "is_abandoned", lambda _: False)
    inferred, go_on = job.inferred, threading.Event()
    render, drawn = Rendering.render, list[bytes]()

    def held(*arguments: Any) -> Any:
        assert go_on.wait(60)
        return inferred(*arguments)

    def watched(rendering: Rendering, image: bytes, *more: Any) -> Any:
        drawn.append(image)
        return render(rendering, image, *more)

    monkeypatch.setattr(job, "inferred", held)
    monkeypatch.setattr(Rendering, "render", watched)
    inference = app.state.sightline.inference
    with monkeypatch.context() as patch:
        narrow = inference._settings.model_copy(update={"timeout_s": 0.2})
        patch.setattr(inference, "_settings", narrow)
        late = await post(client, WHITE, "image/png")
    assert (late.status_code, kind(late)) == (504, "late")
    go_on.set()
    other = encoded((250, 250, 250))
    for _ in range(3):
        assert (await post(client, other, "image/png")).status_code == 200
    await asyncio.to_thread(inference._drawing.shutdown)  # all that was to be drawn is
    assert drawn == [other] * 3


async def test_the_document_tells_of_the_pictures(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/detect"]["post"]
    content = operation["responses"]["200"]["content"]
    assert content.keys() == {"application/json", *MEDIA_TYPES}
    assert "detections" in json.dumps((await post(client)).json())
