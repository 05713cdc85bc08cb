"""``/segment``, from bytes to JSON or a picture, over a tiny real segmenter."""

import base64
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from documented import client_of
from fabricate import Tiny, TinySegmenter
from fastapi import FastAPI
from faster_coco_eval.core import mask as coco  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pictures import exif, saved, stored_as
from PIL import Image

from service.delivery import PIECE
from service.rendering import MEDIA_TYPES, Rendering
from service.tasks import segment

HEIGHT, WIDTH = 12, 16
RED, GREEN, BLUE, PADDING = range(1, 5)
RAW = {"content-type": "image/png"}
COLOURS = TinySegmenter.COLOURS.astype(np.uint8)
QUARTERS = np.array([[0, RED], [GREEN, BLUE]], np.uint8)


def quarters(width: int, height: int) -> NDArray[np.uint8]:
    """A black, a red, a green and a blue quarter, as positions of labels."""
    return QUARTERS.repeat(height // 2, 0).repeat(width // 2, 1)


def picture(mask: NDArray[np.uint8]) -> bytes:
    return saved(Image.fromarray(COLOURS[mask]), "PNG")


QUARTERED = picture(quarters(160, 120))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Segmenters of every way to fit a picture in, and a classifier."""
    root = tmp_path / "models"
    root.mkdir()
    TinySegmenter().write(root)
    TinySegmenter("squashing", resize="squash", options={}, default=False).write(root)
    TinySegmenter("large", 240, 320, default=False).write(root)
    TinySegmenter("padding", resize="pad_to_multiple", default=False).write(root)
    Tiny().write(root)
    return root


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application that holds every answer against the OpenAPI document."""
    async with client_of(app) as http:
        yield http


async def post(
    client: httpx.AsyncClient, sent: bytes = QUARTERED, accept: str | None = None, **query: Any
) -> httpx.Response:
    headers = RAW if accept is None else {**RAW, "accept": accept}
    return await client.post("/segment", params=query, content=sent, headers=headers)


def kind(response: httpx.Response) -> str:
    return str(response.json()["type"]).removeprefix("urn:sightline:problem:")


def opened(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200
    found = Image.open(io.BytesIO(response.content))
    found.load()
    return found


def masks_of(body: Any) -> dict[int, NDArray[np.bool_]]:
    """The run-length encoded masks of an answer by position of the label."""
    return {
        found["index"]: np.asarray(coco.decode(found["mask"]), np.bool_)
        for found in body["segments"]
    }


async def test_a_picture_is_looked_at_whichever_way_it_is_sent(client: httpx.AsyncClient) -> None:
    ways = [
        await client.post("/segment", files={"file": ("street.png", QUARTERED)}),
        await client.post("/segment", content=QUARTERED, headers=RAW),
        await client.post("/segment", json={"image": base64.b64encode(QUARTERED).decode()}),
    ]
    for response in ways:
        assert response.status_code == 200
        body = response.json()
        assert body["model"] == {"name": "colours", "version": "1", "precision": "fp32"}
        assert body["image"] == {"width": 160, "height": 120}
        assert set(body["timing_ms"]) == {"decode", "queue", "run", "total"}
        assert [found["label"] for found in body["segments"]] == ["red", "green, light", "blue"]
        red = body["segments"][0]
        assert (red["colour"], red["pixels"], red["share"]) == ("#800000", 4800, 0.25)
        assert red["confidence"] == 1.0
        assert red["box"] == {"x_min": 80, "y_min": 0, "x_max": 160, "y_max": 60}
        for index, mask in masks_of(body).items():
            assert (mask == (quarters(160, 120) == index)).all()
        assert response.headers["sightline-device"] == "cpu"
        assert response.headers["vary"] == "Accept"
        assert "server-timing" not in response.headers


async def test_parameters_say_what_is_told(client: httpx.AsyncClient) -> None:
    async def told(**query: Any) -> list[int]:
        body = (await post(client, **query)).json()
        return [found["index"] for found in body["segments"]]

    assert await told() == [RED, GREEN, BLUE]
    assert await told(classes="blue,red") == [RED, BLUE]
    assert await told(classes=["green, light", "black"]) == [0, GREEN]
    assert await told(min_area=4800) == [RED, GREEN, BLUE]
    assert await told(min_area=4801) == []
    assert await told(model="squashing") == [0, RED, GREEN, BLUE]
    for name in ("rle", "polygon", "png", "none"):
        segments = (await post(client, mask=name)).json()["segments"]
        formats = {found["mask"] and found["mask"]["format"] for found in segments}
        assert formats == {None if name == "none" else name}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("min_area=-1", "min_area"),
        ("min_area=0.5", "min_area"),
        ("min_area=much", "min_area"),
        ("mask=rgb", "mask"),
        ("mask=", "mask"),
        ("threshold=0.5", "threshold"),
        ("classes=bird", "'bird'"),
        ("classes=red,bird", "'bird'"),
        ("classes=", "''"),
        ("&".join(["classes=red"] * 1001), "classes"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(
    client: httpx.AsyncClient, query: str, named: str
) -> None:
    response = await client.post(f"/segment?{query}", content=QUARTERED, headers=RAW)
    assert (response.status_code, kind(response)) == (422, "bad-parameter")
    assert named in response.json()["detail"]


async def test_a_model_of_another_task_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await post(client, model="tiny")).status_code == 404


@pytest.mark.parametrize("model", ["colours", "squashing", "padding"])
@pytest.mark.parametrize("size", [(400, 100), (100, 400), (16, 12), (8, 4), (1000, 998)])
async def test_masks_are_of_the_original_s_size_and_show_no_padding(
    client: httpx.AsyncClient, size: tuple[int, int], model: str
) -> None:
    truth = quarters(*size)
    everything = ["black", "red", "green, light", "blue", "padding"]
    answer = (await post(client, picture(truth), model=model, classes=everything)).json()
    found = masks_of(answer)
    assert PADDING not in found
    planes = np.stack(list(found.values()))
    assert (planes.sum(0) == 1).all()
    labelled = np.array(list(found))[planes.argmax(0)]
    assert (labelled != truth).mean() < 0.2  # some see three columns of the model's pixels


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_turned_picture_is_labelled_as_a_person_sees_it(
    client: httpx.AsyncClient, orientation: int
) -> None:
    truth = quarters(320, 160)
    stored = Image.fromarray(stored_as(orientation, COLOURS[truth]))
    sent = saved(stored, "JPEG", exif=exif(orientation), quality=95, subsampling=0)
    plain = (await post(client, picture(truth))).json()
    turned = (await post(client, sent)).json()
    assert turned["image"] == plain["image"] == {"width": 320, "height": 160}
    for index, mask in masks_of(turned).items():
        assert (mask != (truth == index)).mean() < 0.07
    for media_type in MEDIA_TYPES:
        assert opened(await post(client, sent, media_type)).size == (320, 160)
    mask = np.asarray(opened(await post(client, sent, "image/png")))
    assert (mask != truth).mean() < 0.13


async def test_the_mask_comes_as_an_indexed_png(client: httpx.AsyncClient) -> None:
    response = await post(client, QUARTERED, "image/png")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["vary"] == "Accept"
    assert response.headers["sightline-device"] == "cpu"
    assert "total;dur=" in response.headers["server-timing"]
    found = opened(response)
    assert found.mode == "P"
    assert (np.asarray(found) == quarters(160, 120)).all()
    assert np.asarray(found.convert("RGB"))[0, -1].tolist() == [128, 0, 0]
    only = np.asarray(opened(await post(client, QUARTERED, "image/png", classes="blue")))
    assert (only == np.where(quarters(160, 120) == BLUE, BLUE, 0)).all()
    query = {"classes": "blue", "model": "squashing"}
    only = np.asarray(opened(await post(client, QUARTERED, "image/png", **query)))
    assert (only == np.where(quarters(160, 120) == BLUE, BLUE, 255)).all()


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/webp"])
async def test_the_picture_comes_back_with_its_classes_coloured(
    client: httpx.AsyncClient, media_type: str
) -> None:
    truth = quarters(640, 480)
    response = await post(client, picture(truth), media_type)
    found = opened(response)
    assert found.format == media_type.removeprefix("image/").upper()
    assert found.size == (640, 480)
    pixels = np.asarray(found.convert("RGB")).astype(int)
    assert pixels[400, 160] == pytest.approx([0, 191, 0], abs=12)  # green and VOC's green
    assert pixels[350, 480] == pytest.approx([64, 64, 128], abs=12)  # blue and VOC's olive


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("image/*;q=0.9, */*", "application/json"),
        ("image/*", "image/jpeg"),
        ("image/png", "image/png"),
        ("image/png, image/*;q=0.5", "image/png"),
        ("image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5", "image/webp"),
        ("image/png;q=0.9, image/webp;q=0.1", "image/png"),
        ("application/json;q=0.1, image/jpeg", "image/jpeg"),
    ],
)
async def test_accept_says_what_the_answer_is(
    client: httpx.AsyncClient, accept: str | None, media_type: str
) -> None:
    response = await post(client, QUARTERED, accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type


async def test_another_media_type_is_refused_before_the_body_is_looked_at(
    client: httpx.AsyncClient,
) -> None:
    response = await post(client, b"no picture", "image/gif")
    assert (response.status_code, kind(response)) == (406, "not-acceptable")
    assert response.headers["vary"] == "Accept"


async def test_several_pictures_have_their_answers_in_json_or_none(
    client: httpx.AsyncClient,
) -> None:
    files = [
        ("file", ("a.png", QUARTERED)),
        ("file", ("b.txt", b"no picture")),
        ("file", ("c.png", picture(quarters(20, 40)))),
    ]
    good, bad, other = (await client.post("/segment", files=files)).json()
    assert [len(each["segments"]) for each in (good, other)] == [3, 3]
    assert bad["status"] == 415
    assert masks_of(other)[RED].shape == (40, 20)
    response = await client.post("/segment", files=files, headers={"accept": "image/png"})
    assert (response.status_code, kind(response)) == (406, "not-acceptable")


async def test_the_mask_is_drawn_in_a_thread_for_that_without_the_original(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, threads = list[bytes](), list[str]()
    render = Rendering.render

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name.partition("_")[0])
        return render(*arguments)

    monkeypatch.setattr(Rendering, "render", watched)
    monkeypatch.setattr("service.rendering.decode", lambda data, _: decoded.append(data))
    assert opened(await post(client, QUARTERED, "image/png")).size == (160, 120)
    assert threads == ["drawing"]
    assert not decoded
    assert (await post(client, QUARTERED, "image/jpeg")).status_code == 500
    assert decoded == [QUARTERED]


async def test_masks_are_told_and_written_in_a_slot_s_thread(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, write, threads = segment.finish, segment.Result.model_dump_json, list[str]()

    def watched_finish(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return finish(*arguments)

    def watched_write(result: segment.Result) -> str:
        threads.append(threading.current_thread().name)
        return write(result)

    monkeypatch.setattr(segment, "finish", watched_finish)
    monkeypatch.setattr(segment.Result, "model_dump_json", watched_write)
    assert (await post(client)).status_code == 200
    files = [("file", ("a.png", QUARTERED))] * 3
    answers = (await client.post("/segment", files=files)).json()
    assert [len(each["segments"]) for each in answers] == [3, 3, 3]
    assert [name.startswith("colours-slot-") for name in threads] == [True] * 8


async def test_a_large_answer_counts_among_the_bodies_until_it_is_sent(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 4, (240, 320), np.uint8)
    sent, query = picture(noise), {"model": "large", "mask": "polygon"}
    state = app.state.sightline
    bodies = state.inference._bodies
    answer = await post(client, sent, **query)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "max_bytes", len(sent) + PIECE)
        assert len(answer.content) > bodies.max_bytes
        busy = await post(client, sent, **query)
        assert (await post(client)).status_code == 200  # small ones are not counted
    assert (busy.status_code, kind(busy)) == (429, "busy")
    assert state.registry.models["large"].meter.rejected._value.get() == 1
    assert bodies.held == 0
    again = await post(client, sent, **query)
    assert again.json()["segments"] == answer.json()["segments"]


async def test_the_document_tells_of_masks_and_pictures(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/segment"]["post"]
    content = operation["responses"]["200"]["content"]
    assert content.keys() == {"application/json", *MEDIA_TYPES}
    told = document["components"]["schemas"]["Segment"]["properties"]
    (formats,) = [each for each in told["mask"]["anyOf"] if "discriminator" in each]
    assert formats["discriminator"]["mapping"].keys() == {"rle", "polygon", "png"}
    assert "406" in operation["responses"]
