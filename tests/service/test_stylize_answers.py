"""``/stylize`` and ``/styles``, from bytes to a picture, over a tiny real stylizer."""

import asyncio
import base64
import io
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest
from documented import client_of
from fabricate import Tiny, TinyStylizer
from fastapi import FastAPI
from numpy.typing import NDArray
from pictures import exif, saved, seeds, stored_as
from PIL import Image

from service.app import create_app
from service.session import Arrays
from service.settings import Settings

TINY = TinyStylizer()
WAVE, FIRE = (np.array(code, np.float64) for code in TINY.presets.values())
RAW = {"content-type": "image/png"}
PNG = {"accept": "image/png"}


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    return saved(Image.fromarray(pixels), "PNG")


CONTENT = noise(40, 30)
STYLE, OTHER_STYLE = (noise(24, 20, seed) // 2 + 20 * seed for seed in (1, 2))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A stylizer with presets, one without, and a classifier."""
    root = tmp_path / "models"
    root.mkdir()
    TINY.write(root)
    TinyStylizer("bare", presets={}, default=False).write(root)
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


async def post(
    client: httpx.AsyncClient,
    content: NDArray[np.uint8] = CONTENT,
    *styles: NDArray[np.uint8],
    accept: str = "image/png",
    **query: Any,
) -> httpx.Response:
    files = [("content", png(content)), *(("style", png(style)) for style in styles)]
    return await client.post("/stylize", params=query, files=files, headers={"accept": accept})


def opened(response: httpx.Response, kind: str = "PNG") -> NDArray[np.uint8]:
    assert response.status_code == 200, response.text
    with Image.open(io.BytesIO(response.content)) as picture:
        assert (picture.format, picture.mode) == (kind, "RGB")
        return np.asarray(picture)


def kind(response: httpx.Response) -> str:
    return str(response.json()["type"]).removeprefix("urn:sightline:problem:")


def assert_like(found: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.6  # rounded, in float32


async def test_a_preset_styles_a_content_whichever_way_it_is_sent(
    client: httpx.AsyncClient,
) -> None:
    sent, path = png(CONTENT), "/stylize?style=wave"
    ways = [
        await client.post(path, files={"content": ("a.png", sent)}, headers=PNG),
        await client.post(path, files={"file": ("a.png", sent)}, headers=PNG),
        await client.post(path, content=sent, headers={**RAW, **PNG}),
        await client.post(path, json={"image": base64.b64encode(sent).decode()}, headers=PNG),
    ]
    for response in ways:
        assert_like(opened(response), TINY.expected(CONTENT, WAVE.tolist()))
        assert response.headers["sightline-device"] == "cpu"
        assert response.headers["vary"] == "Accept"
        stages = [each.partition(";dur=") for each in response.headers["server-timing"].split(", ")]
        assert [stage for stage, _, _ in stages] == ["decode", "queue", "run", "total"]
        assert all(float(ms) >= 0 for _, _, ms in stages)


async def test_a_picture_styles_a_content(client: httpx.AsyncClient) -> None:
    code = TINY.code(STYLE).tolist()
    for model in ("styles", "bare"):
        response = await post(client, CONTENT, STYLE, model=model)
        assert_like(opened(response), TINY.expected(CONTENT, code))


async def test_the_order_of_a_form_s_fields_is_of_no_matter(client: httpx.AsyncClient) -> None:
    files = [("style", png(STYLE)), ("file", png(CONTENT)), ("style", png(OTHER_STYLE))]
    response = await client.post("/stylize?style_weight=3", files=files, headers=PNG)
    code = (3 * TINY.code(STYLE) + TINY.code(OTHER_STYLE)) / 4
    assert_like(opened(response), TINY.expected(CONTENT, code.tolist()))


async def test_pictures_and_presets_mix_by_their_weights(client: httpx.AsyncClient) -> None:
    one, two = TINY.code(STYLE), TINY.code(OTHER_STYLE)
    response = await post(
        client, CONTENT, STYLE, OTHER_STYLE, style=["wave:0.5", "fire:2"], style_weight=[1, 0.5]
    )
    code = (one + 0.5 * two + 0.5 * WAVE + 2 * FIRE) / 4
    assert_like(opened(response), TINY.expected(CONTENT, code.tolist()))
    presets = await post(client, style=["wave:0.7", "fire:0.3"])
    code = 0.7 * WAVE + 0.3 * FIRE
    assert_like(opened(presets), TINY.expected(CONTENT, code.tolist()))


async def test_a_form_names_presets_too(client: httpx.AsyncClient) -> None:
    form = [
        ("style", b"wave:3"),
        ("style", png(STYLE)),
        ("content", png(CONTENT)),
        ("style", b"fire\r\n"),
    ]
    response = await client.post("/stylize?style=fire:2&style_weight=2", files=form, headers=PNG)
    code = (3 * WAVE + 3 * FIRE + 2 * TINY.code(STYLE)) / 8
    assert_like(opened(response), TINY.expected(CONTENT, code.tolist()))


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
async def test_alpha_says_how_far_to_go(client: httpx.AsyncClient, alpha: float) -> None:
    found = opened(await post(client, style="fire", alpha=alpha))
    assert_like(found, TINY.expected(CONTENT, FIRE.tolist(), alpha))
    assert (found == CONTENT).all() == (alpha == 0)


async def test_preserved_colours_are_the_content_s(client: httpx.AsyncClient) -> None:
    def chroma(pixels: NDArray[np.uint8]) -> NDArray[np.int_]:
        return np.asarray(Image.fromarray(pixels).convert("YCbCr"), np.int_)[..., 1:]

    soft = CONTENT // 4 + 96  # so that no colour lies outside of RGB
    kept = opened(await post(client, soft, style="wave:1", alpha=0.3, preserve_color="true"))
    taken = opened(await post(client, soft, style="wave:1", alpha=0.3))
    assert np.abs(chroma(kept) - chroma(soft)).max() <= 2
    assert np.abs(chroma(taken) - chroma(soft)).max() > 20
    lumas = [np.asarray(Image.fromarray(each).convert("L"), int) for each in (kept, taken)]
    assert np.abs(lumas[0] - lumas[1]).max() <= 2


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", "JPEG"),
        ("image/*", "JPEG"),
        ("image/jpeg", "JPEG"),
        ("image/png", "PNG"),
        ("image/webp", "WEBP"),
        ("application/json, image/webp;q=0.1", "WEBP"),
    ],
)
async def test_the_answer_is_a_picture_of_the_kind_that_is_accepted(
    client: httpx.AsyncClient, accept: str, wanted: str
) -> None:
    response = await post(client, style="wave", accept=accept)
    assert opened(response, wanted).shape == CONTENT.shape
    assert response.headers["content-type"] == f"image/{wanted.lower()}"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "image/gif"])
async def test_no_other_kind_is_to_be_had(client: httpx.AsyncClient, accept: str) -> None:
    response = await post(client, style="wave", accept=accept)
    assert (response.status_code, kind(response)) == (406, "not-acceptable")
    assert "image/jpeg or image/png or image/webp" in response.json()["detail"]
    assert response.headers["vary"] == "Accept"


async def test_quality_is_that_of_the_file(client: httpx.AsyncClient) -> None:
    async def size(accept: str, **query: Any) -> int:
        return len((await post(client, style="wave", accept=accept, **query)).content)

    for accept in ("image/jpeg", "image/webp"):
        low, usual, high = [await size(accept, quality=quality) for quality in (1, 90, 100)]
        assert low < usual < high
        assert await size(accept) == usual
    assert await size("image/png", quality=1) == await size("image/png")


@pytest.mark.parametrize(
    ("size", "query", "answer"),
    [
        ((1, 1), {}, (1, 1)),
        ((1, 7), {}, (1, 7)),
        ((15, 17), {}, (15, 17)),
        ((63, 64), {}, (63, 64)),
        ((640, 333), {}, (64, 33)),
        ((640, 333), {"max_side": 31}, (31, 16)),
        ((100, 2), {"max_side": 16}, (16, 1)),
    ],
)
async def test_the_answer_has_the_content_s_shape_up_to_the_bound(
    client: httpx.AsyncClient, size: tuple[int, int], query: Any, answer: tuple[int, int]
) -> None:
    content = noise(*size)
    for kept in ("false", "true"):
        found = opened(await post(client, content, STYLE, **query, preserve_color=kept))
        assert found.shape == (*answer[::-1], 3)
    # A style of any size is one, too.
    assert opened(await post(client, CONTENT, content)).shape == CONTENT.shape


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_turned_content_comes_back_upright_and_a_turned_style_is_no_other(
    client: httpx.AsyncClient, orientation: int
) -> None:
    turned = saved(Image.fromarray(stored_as(orientation, CONTENT)), "PNG", exif=exif(orientation))
    for more in ("", "&preserve_color=true"):
        path = f"/stylize?style=wave&alpha=0{more}"
        found = opened(await client.post(path, content=turned, headers={**RAW, **PNG}))
        assert np.abs(found.astype(int) - CONTENT).max() <= (3 if more else 0)
    styled = await client.post(
        "/stylize", files=[("content", png(STYLE)), ("style", turned)], headers=PNG
    )
    assert_like(opened(styled), TINY.expected(STYLE, TINY.code(CONTENT).tolist()))


@pytest.mark.parametrize("name", seeds())
async def test_any_file_is_a_content_and_a_style(client: httpx.AsyncClient, name: str) -> None:
    files = [("content", seeds()[name]), ("style", seeds()[name])]
    response = await client.post("/stylize", files=files)
    assert response.status_code == 200
    with Image.open(io.BytesIO(response.content)) as picture:
        assert picture.format == "JPEG"
        assert not picture.info.keys() & {"exif", "icc_profile", "comment"}


BROKEN = png(CONTENT)[:60]


@pytest.mark.parametrize(
    ("query", "files", "status", "detail"),
    [
        ("", ["content"], 422, "presets: wave, fire"),
        ("?model=bare", ["content"], 422, "presets: none"),
        ("?model=bare&style=wave", ["content"], 422, "no preset 'wave'; there are: none"),
        ("?style=sea", ["content"], 422, "there are: wave, fire"),
        ("?style=wave:0", ["content"], 422, "all weights are 0"),
        ("?style_weight=0", ["content", "style"], 422, "all weights are 0"),
        ("?style_weight=1&style_weight=1", ["content", "style"], 422, "2 weights for 1 picture"),
        ("?style=wave&max_side=65", ["content"], 422, "runs at most 64"),
        ("?style=wave&threshold=1", ["content"], 422, "threshold"),
        ("?style=wave&alpha=2", ["content"], 422, "alpha"),
        ("?style=wave", ["style"], 400, "no pictures in the field 'content'"),
        ("?style=wave", ["content", "file"], 400, "2 pictures in the field 'content'"),
        ("?style=wave", ["content", "content"], 400, "2 pictures in the field 'content'"),
        ("?style=wave", ["content", "picture"], 400, "unknown form field 'picture'"),
        ("?style=wave&model=tiny", ["content"], 404, "no model 'tiny' for task 'stylize'"),
        ("", ["content", "no preset"], 422, "no preset 'sea'; there are: wave, fire"),
        ("", ["content", "no name"], 422, "'/tmp/sea.jpg' is neither a picture nor a preset"),
        ("", ["content", "nothing"], 422, "'' is neither a picture nor a preset"),
        ("?style=wave&style=fire", ["content", *["name"] * 15], 422, "17 presets; at most 16"),
        ("?style_weight=1", ["content", "name"], 422, "1 weights for 0 pictures"),
        ("", ["content", "no picture"], 415, "picture 1 in the field 'style': not a JPEG"),
        ("", ["content", "style", "broken"], 422, "picture 2 in the field 'style': the PNG file"),
        ("", ["content", *["style"] * 16], 413, "more than 16 parts"),
    ],
)
async def test_what_cannot_be_done_is_a_problem_that_says_why(
    client: httpx.AsyncClient, query: str, files: Sequence[str], status: int, detail: str
) -> None:
    texts = {
        "no picture": b"wave" * 21,
        "no preset": b"sea",
        "no name": b"/tmp/sea.jpg",
        "nothing": b" ",
        "name": b"wave",
        "broken": BROKEN,
    }
    sent = {name: ("style", data) for name, data in texts.items()}
    form = [sent.get(name, (name, png(STYLE))) for name in files]
    response = await client.post(f"/stylize{query}", files=form)
    assert response.status_code == status
    assert detail in response.json()["detail"]


@pytest.mark.parametrize(("content", "status"), [(b"no picture", 415), (BROKEN, 422), (b"", 400)])
async def test_a_bad_content_is_a_problem_of_its_kind(
    client: httpx.AsyncClient, content: bytes, status: int
) -> None:
    for files in ([], [("style", png(STYLE))]):
        response = await client.post(
            "/stylize?style=wave", files=[("content", ("a", content)), *files]
        )
        assert response.status_code == status


async def test_presets_are_listed_with_thumbnails(client: httpx.AsyncClient) -> None:
    response = await client.get("/styles")
    assert response.status_code == 200
    wave, fire = response.json()
    assert (wave["name"], fire["name"]) == ("wave", "fire")
    for preset in (wave, fire):
        assert preset.keys() == {"model", "name", "title", "source", "licence", "thumbnail"}
        assert preset["model"] == "styles"
        with Image.open(io.BytesIO(base64.b64decode(preset["thumbnail"]))) as thumbnail:
            assert thumbnail.format == "JPEG"
        answer = await post(client, style=preset["name"], model=preset["model"])
        assert answer.status_code == 200


async def test_presets_of_one_model_are_listed_alone(client: httpx.AsyncClient) -> None:
    every = await client.get("/styles")
    styles = await client.get("/styles", params={"model": "styles"})
    assert styles.json() == every.json()
    assert (await client.get("/styles", params={"model": "bare"})).json() == []
    for name in ("tiny", "none"):
        response = await client.get("/styles", params={"model": name})
        assert response.status_code == 404
        assert "there are: bare, styles" in response.json()["detail"]


async def test_presets_that_are_known_already_are_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/styles")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"  # kept, but asked about each time
    for known in (tag, f'W/"other", W/{tag}', "*"):
        again = await client.get("/styles", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await client.get("/styles", headers={"If-None-Match": f'"{tag[2:]}'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_a_form_is_described_with_either_name_of_the_content(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/stylize"]["post"]["requestBody"]["content"]
    form = jsonschema_rs.Draft202012Validator(body["multipart/form-data"]["schema"])
    for names in (["content"], ["file"], ["content", "style"], ["file", "style"]):
        sent = {name: ["x"] if name == "style" else "x" for name in names}
        assert form.is_valid(sent), names
    for names in (["style"], ["content", "file"], ["content", "picture"], []):
        assert not form.is_valid({name: ["x"] if name == "style" else "x" for name in names}), names


async def test_a_picture_that_takes_too_much_memory_is_refused_with_the_setting(
    tmp_path: Path,
) -> None:
    TinyStylizer(side=512, style_side=300).write(tmp_path)
    app = create_app(Settings(models=tmp_path, cpu_arena_mib=1))  # of which runs share 0.75 MiB
    async with app.router.lifespan_context(app), client_of(app) as client:
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        small, large = noise(60, 50), noise(400, 400)
        refused = await post(client, large, style="wave")
        assert (refused.status_code, kind(refused)) == (413, "too-large")
        assert "cpu_arena_mib" in refused.json()["detail"]
        refused = await post(client, small, large)
        assert (refused.status_code, kind(refused)) == (413, "too-large")
        assert refused.json()["detail"].startswith("picture 1 in the field 'style': ")
        assert (await post(client, large, style="wave", max_side=60)).status_code == 200
        assert (await post(client, small, small)).status_code == 200


async def test_while_models_load_there_are_no_presets_to_list(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.sightline.registry, "ready", False)
    response = await client.get("/styles")
    assert (response.status_code, kind(response)) == (503, "not-ready")


class Watched:
    """A session whose runs are counted; the first waits until it is let go."""

    def __init__(self, session: Any, held: bool = False) -> None:
        self.session, self.free, self.sizes = session, threading.Event(), list[int]()
        if not held:
            self.free.set()

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        self.sizes.append(len(items))
        assert self.free.wait(60)
        found: list[Arrays] = self.session.run(items, lone=lone)
        return found


async def test_a_style_that_comes_again_is_not_run_again(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    sessions = {
        name: app.state.sightline.registry.models[name].sessions for name in ("styles", "bare")
    }
    for name in sessions:
        sessions[name]["encode"] = Watched(sessions[name]["encode"])
    first = await post(client, CONTENT, STYLE)
    again = await post(client, CONTENT, STYLE)
    assert (opened(first) == opened(again)).all()
    await post(client, STYLE, OTHER_STYLE, STYLE)
    assert len(sessions["styles"]["encode"].sizes) == 2
    assert (opened(await post(client, CONTENT, STYLE, model="bare")) == opened(first)).all()
    assert len(sessions["bare"]["encode"].sizes) == 1  # whose codes are its own


async def test_requests_of_one_size_share_runs_and_each_has_its_own_answer(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    sizes = ((40, 30), (30, 40), (16, 16))
    asked: list[tuple[NDArray[np.uint8], list[NDArray[np.uint8]], Any]] = [
        (
            noise(*sizes[turn % 3], seed=turn),
            [] if turn % 2 else [noise(20, 20, turn)],
            {"alpha": turn / 24, "style": ["wave", "fire"][: 1 + turn % 2]},
        )
        for turn in range(24)
    ]
    alone = [
        opened(await post(client, content, *styles, **query)) for content, styles, query in asked
    ]
    sessions = app.state.sightline.registry.models["styles"].sessions
    session = sessions["main"] = Watched(sessions["main"], held=True)
    requests = [
        asyncio.create_task(post(client, content, *styles, **query))
        for content, styles, query in asked
    ]
    batcher = app.state.sightline.registry.models["styles"].batcher
    while batcher.queued + sum(session.sizes) < len(asked):
        await asyncio.sleep(0.002)
    session.free.set()
    together = [opened(await request) for request in requests]
    for found, expected in zip(together, alone, strict=True):
        assert (found == expected).all()
    assert sum(session.sizes) == len(asked)
    assert max(session.sizes) > 4
