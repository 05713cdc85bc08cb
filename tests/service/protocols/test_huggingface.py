"""What Hugging Face's client sends, and what it must not send, in process."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import encoded
from documented import client_of
from fabricate import Tiny, TinyCaptioner, TinyStylizer

from service.app import create_app
from service.settings import Settings

TASKS = ("image-classification", "image-to-text", "image-to-image")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    Tiny().write(tmp_path)
    TinyCaptioner().write(tmp_path)
    TinyStylizer().write(tmp_path)
    app = create_app(Settings(models=tmp_path, max_body_mib=1))
    async with app.router.lifespan_context(app), client_of(app) as http:
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        yield http


def document(image: bytes, **parameters: Any) -> dict[str, Any]:
    return {"inputs": base64.b64encode(image).decode(), "parameters": parameters}


@pytest.mark.parametrize("media_type", ["", "image/png", "application/octet-stream"])
async def test_a_picture_alone(client: httpx.AsyncClient, red: bytes, media_type: str) -> None:
    headers = {"content-type": media_type} if media_type else {}
    answer = await client.post("/hf/image-classification", content=red, headers=headers)
    assert answer.json()[0]["label"] == "red"
    assert answer.headers["sightline-device"] == "cpu"


async def test_parameters_that_are_null_are_left_out(client: httpx.AsyncClient, red: bytes) -> None:
    for parameters in ({"top_k": None}, {}, None):
        body = {**document(red), "parameters": parameters}
        assert len((await client.post("/hf/image-classification", json=body)).json()) == 3


async def test_no_sentence_is_an_empty_one(client: httpx.AsyncClient) -> None:
    body = document(encoded((0, 255, 0)), max_new_tokens=1_000_000)
    told = (await client.post("/hf/image-to-text", json=body)).json()
    assert "green" in told[0]["generated_text"]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"inputs": 3}', 400),
        (b'{"inputs": "%"}', 400),
        (b'{"inputs": ""}', 400),
        (b'{"inputs": "aGk=", "more": 1}', 400),
        (b'{"inputs": "aGk=", "parameters": {"unknown": 1}}', 422),
        (b'{"inputs": "aGk=", "parameters": []}', 400),
        (b"", 400),
        (b"[" * 100_000, 400),
    ],
)
async def test_what_is_no_request_is_refused(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    headers = {"content-type": "application/json"}
    for task in TASKS:
        answer = await client.post(f"/hf/{task}", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize(
    ("task", "parameters"),
    [
        ("image-classification", {"top_k": 0}),
        ("image-classification", {"function_to_apply": "sigmoid"}),
        ("image-to-text", {"max_new_tokens": 0}),
        ("image-to-image", {"prompt": "a tiger"}),
        ("image-to-image", {"prompt": "wave", "alpha": 2}),
        ("image-to-image", {"prompt": "wave", "quality": 0}),
        ("image-to-image", {"prompt": "wave", "target_size": {"height": 1, "width": 1}}),
        ("image-to-image", {"prompt": ","}),
        ("image-to-image", {}),
    ],
)
async def test_parameters_out_of_range_are_422(
    client: httpx.AsyncClient, red: bytes, task: str, parameters: dict[str, Any]
) -> None:
    answer = await client.post(f"/hf/{task}", json=document(red, **parameters))
    assert answer.status_code == 422, answer.text


async def test_another_media_type_is_refused(client: httpx.AsyncClient, red: bytes) -> None:
    headers = {"content-type": "text/plain"}
    assert (await client.post("/hf/classify", content=red, headers=headers)).status_code == 415
    body = document(red, prompt="wave")
    answer = await client.post("/hf/image-to-image", json=body, headers={"accept": "text/html"})
    assert answer.status_code == 406
    answer = await client.post("/hf/image-to-image", json=body, headers={"accept": "image/webp"})
    assert answer.headers["content-type"] == "image/webp"


async def test_a_large_picture_in_base64(client: httpx.AsyncClient) -> None:
    noise = encoded((1, 2, 3), "BMP", size=300)  # 270 kB
    body = json.dumps(document(noise, top_k=1)).encode()
    headers = {"content-type": "application/json"}
    answer = await client.post("/hf/image-classification", content=body, headers=headers)
    assert answer.json()[0]["label"] == "blue"
    answer = await client.post("/hf/image-classification", content=bytes(2 << 20))
    assert answer.status_code == 413


async def test_models_that_there_are_not(client: httpx.AsyncClient, red: bytes) -> None:
    answer = await client.post("/hf/image-classification?model=styles", content=red)
    assert answer.status_code == 404
    answer = await client.post("/hf/object-detection", content=red)
    assert answer.status_code == 503
    assert "no model is loaded for task 'detect'" in answer.json()["error"]
