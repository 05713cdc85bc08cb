"""``/caption``, from bytes to answer, over a tiny real captioner."""

import asyncio
import base64
import io
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from documented import client_of
from fabricate import Tiny, TinyCaptioner
from fastapi import FastAPI
from pictures import exif, saved, stored_as
from PIL import Image

from service.session import Arrays
from service.settings import Settings
from service.tasks import caption

RAW = {"content-type": "image/png"}


def solid(*colour: int, size: tuple[int, int] = (32, 32)) -> bytes:
    return saved(Image.new("RGB", size, tuple(colour)), "PNG")


RED = solid(255, 0, 0)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Captioners of every way to fit a picture in, one without attention, and a classifier."""
    root = tmp_path / "models"
    root.mkdir()
    TinyCaptioner().write(root)
    TinyCaptioner("padding", resize="letterbox", default=False).write(root)
    TinyCaptioner("cropping", resize="shortest_side", crop=0.5, default=False).write(root)
    TinyCaptioner("blind", attention=False, default=False).write(root)
    Tiny().write(root)
    return root


@pytest.fixture
def settings(models: Path) -> Settings:
    return Settings(models=models, slots=1, max_batch=8)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application that holds every answer against the OpenAPI document."""
    async with client_of(app) as http:
        yield http


async def post(client: httpx.AsyncClient, sent: bytes = RED, **query: Any) -> httpx.Response:
    return await client.post("/caption", params=query, content=sent, headers=RAW)


def kind(response: httpx.Response) -> str:
    return str(response.json()["type"]).removeprefix("urn:sightline:problem:")


def texts(body: Any) -> list[str]:
    return [found["text"] for found in body["captions"]]


def opened(word: Any) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(word["attention"]))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


async def test_a_picture_is_described_whichever_way_it_is_sent(client: httpx.AsyncClient) -> None:
    ways = [
        await client.post("/caption", files={"file": ("red.png", RED)}),
        await client.post("/caption", content=RED, headers=RAW),
        await client.post("/caption", json={"image": base64.b64encode(RED).decode()}),
    ]
    expected = np.exp(float(TinyCaptioner.SCORES[0]) * (1 + 1 / 3))
    for response in ways:
        assert response.status_code == 200
        body = response.json()
        assert body["model"] == {"name": "sentences", "version": "1", "precision": "fp32"}
        assert body["image"] == {"width": 32, "height": 32}
        assert set(body["timing_ms"]) == {"decode", "queue", "run", "total"}
        (found,) = body["captions"]
        assert found.keys() == {"text", "score"}
        assert found["text"] == "A red dog's BMX."
        assert found["score"] == pytest.approx(expected, abs=1e-5)
        assert response.headers["sightline-device"] == "cpu"
        assert "vary" not in response.headers


async def test_parameters_say_what_is_told(client: httpx.AsyncClient) -> None:
    async def told(**query: Any) -> list[str]:
        return texts((await post(client, solid(0, 200, 0), **query)).json())

    whole = ["A green dog's BMX.", "I see green.", "Green t-shirt."]
    assert await told() == whole[:1]
    assert await told(num_captions=2) == whole[:2]
    assert await told(num_captions=3, max_length=5) == whole
    assert await told(num_captions=3, max_length=3) == ["A green dog.", *whole[1:]]
    assert await told(num_captions=3, max_length=1) == ["A.", "I.", "Green."]
    assert await told(num_captions=3, model="blind", attention="false") == whole


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("num_captions=0", "num_captions"),
        ("num_captions=4", "num_captions: model 'sentences' can do at most 3"),
        ("num_captions=1001", "num_captions"),
        ("num_captions=many", "num_captions"),
        ("max_length=0", "max_length"),
        ("max_length=6", "max_length: model 'sentences' can do at most 5"),
        ("max_length=2.5", "max_length"),
        ("attention=perhaps", "attention"),
        ("attention=true&model=blind", "attention: model 'blind' has none"),
        ("threshold=0.5", "threshold"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name_before_the_body_is_looked_at(
    client: httpx.AsyncClient, query: str, named: str
) -> None:
    response = await client.post(f"/caption?{query}", content=b"no picture", headers=RAW)
    assert (response.status_code, kind(response)) == (422, "bad-parameter")
    assert named in response.json()["detail"]


async def test_a_model_of_another_task_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await post(client, model="tiny")).status_code == 404


async def test_an_answer_is_json_whatever_is_accepted(client: httpx.AsyncClient) -> None:
    headers = {**RAW, "accept": "image/png"}
    response = await client.post("/caption", content=RED, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


async def test_several_pictures_each_answer_for_themselves(client: httpx.AsyncClient) -> None:
    files = [
        ("file", ("a.png", RED)),
        ("file", ("b.txt", b"no picture")),
        ("file", ("c.png", solid(0, 0, 255))),
    ]
    response = await client.post("/caption?num_captions=2", files=files)
    assert response.status_code == 200
    first, second, third = response.json()
    assert texts(first) == ["A red dog's BMX.", "I see red."]
    assert second["status"] == 415
    assert texts(third) == ["A blue dog's BMX.", "I see blue."]


def squares(size: tuple[int, int], **places: tuple[int, int]) -> Image.Image:
    """A black picture with squares of 30 pixels, given by colour and upper left corner."""
    picture = Image.new("RGB", size)
    for colour, (left, top) in places.items():
        picture.paste(colour, (left, top, left + 30, top + 30))
    return picture


@pytest.mark.parametrize("model", ["sentences", "padding", "cropping"])
async def test_attention_lies_where_the_original_has_what_was_looked_at(
    client: httpx.AsyncClient, model: str
) -> None:
    # Both are in the middle, 100x100 pixels, that "cropping" sees.
    picture = squares((400, 200), red=(215, 60), green=(160, 115))
    sent = saved(picture, "PNG")
    body = (await post(client, sent, model=model, attention="true", num_captions=3)).json()
    assert texts(body) == ["A red dog's BMX.", "I see red.", "Red t-shirt."]
    first, second, third = ([word["word"] for word in each["words"]] for each in body["captions"])
    assert first == ["a", "red", "dog", "'s", "BMX"]
    assert (second, third) == (["i", "see", "red"], ["red", "t-shirt"])
    for told in body["captions"]:
        for place, word in enumerate(told["words"]):
            grey = opened(word)
            assert grey.shape == (128, 256)
            if place % 3 == 2:
                seen = np.s_[32:96, 96:160] if model == "cropping" else np.s_[:, :]
                assert (grey[seen] == 255).all()  # nothing is blue, all is alike
                assert np.count_nonzero(grey) == grey[seen].size
                continue
            rows, columns = np.nonzero(grey > 128)
            centre = (75 / 200, 230 / 400) if place % 3 == 0 else (130 / 200, 175 / 400)
            # As far as cells of an eighth of the model's input can tell.
            assert (rows.mean() / 128, columns.mean() / 256) == pytest.approx(centre, abs=0.14)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_attention_of_a_turned_picture_is_as_a_person_sees_it(
    client: httpx.AsyncClient, orientation: int
) -> None:
    upright = np.asarray(squares((320, 160), red=(20, 10)))
    stored = Image.fromarray(stored_as(orientation, upright))
    sent = saved(stored, "JPEG", exif=exif(orientation), quality=95, subsampling=0)
    body = (await post(client, sent, attention="true")).json()
    assert body["image"] == {"width": 320, "height": 160}
    grey = opened(body["captions"][0]["words"][0])
    assert grey.shape == (128, 256)
    rows, columns = np.nonzero(grey > 128)
    assert (rows.mean() / 128, columns.mean() / 256) == pytest.approx((25 / 160, 35 / 320), abs=0.1)


@pytest.mark.parametrize(
    ("attention", "thread"), [("false", "sentences-slot-"), ("true", "drawing")]
)
async def test_captions_are_told_in_a_slot_s_thread_and_maps_drawn_in_another(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, attention: str, thread: str
) -> None:
    finish, threads = caption.finish, list[str]()

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return finish(*arguments)

    monkeypatch.setattr(caption, "finish", watched)
    assert (await post(client, attention=attention)).status_code == 200
    assert [name.startswith(thread) for name in threads] == [True]


async def test_requests_of_any_parameters_share_runs_and_each_has_its_own_answer(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    random = np.random.default_rng(3)
    asked = [
        (
            solid(*random.integers(0, 256, 3).tolist()),
            {"max_length": 1 + turn % 5, "num_captions": 1 + turn % 3, "attention": turn % 2 == 0},
        )
        for turn in range(24)
    ]
    alone = [(await post(client, sent, **query)).json()["captions"] for sent, query in asked]
    assert len({str(each) for each in alone}) > 20

    model = app.state.sightline.registry.models["sentences"]
    session, sizes, all_there = model.sessions["main"], list[int](), threading.Event()

    class Held:
        def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
            if not sizes:  # the first run holds the only slot until the others are queued
                assert all_there.wait(60)
            sizes.append(len(items))
            found: list[Arrays] = session.run(items, lone=lone)
            return found

    model.sessions["main"] = Held()
    requests = [asyncio.create_task(post(client, sent, **query)) for sent, query in asked]
    while model.batcher.queued < len(asked) - 8:
        await asyncio.sleep(0.002)
    all_there.set()
    together = [(await request).json()["captions"] for request in requests]
    assert together == alone
    assert sum(sizes) == len(asked)
    assert max(sizes) == 8
