"""What DeepStack's clients send, and what they must not send, in process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from documented import client_of
from fabricate import Tiny, TinyDetector

from service.app import create_app
from service.protocols import deepstack
from service.settings import Settings
from service.task import ImageSeen, ModelUsed, Timing
from service.tasks import detect


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    Tiny().write(tmp_path)
    TinyDetector().write(tmp_path)
    app = create_app(Settings(models=tmp_path))
    async with app.router.lifespan_context(app), client_of(app) as http:
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        yield http


@pytest.mark.parametrize("field", ["image", "image1", "file"])
async def test_the_picture_is_in_a_field_of_one_of_several_names(
    client: httpx.AsyncClient, red: bytes, field: str
) -> None:
    told = (await client.post("/v1/vision/scene", files={field: red})).json()
    assert (told["success"], told["label"], told["code"]) == (True, "red", 200)


async def test_nothing_found_is_no_failure(client: httpx.AsyncClient, red: bytes) -> None:
    form = {"min_confidence": "1", "api_key": "secret"}
    answer = await client.post("/v1/vision/detection", data=form, files={"image": red})
    told = answer.json()
    assert told["success"] is True
    assert (told["count"], told["predictions"]) == (0, [])
    assert told["message"] == "No objects found"


async def test_an_empty_confidence_is_none(client: httpx.AsyncClient, red: bytes) -> None:
    form = {"min_confidence": ""}
    answer = await client.post("/v1/vision/detection", data=form, files={"image": red})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("image/png", b"x", 415),
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=b", b"x", 400),
        ("multipart/form-data; boundary=b", b"", 400),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 400),
    ],
)
async def test_what_is_no_form_is_refused(
    client: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    headers = {"content-type": content_type}
    answer = await client.post("/v1/vision/detection", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["success"] is False


async def test_a_form_of_many_parts_is_refused(client: httpx.AsyncClient, red: bytes) -> None:
    form = {f"field{n}": "x" for n in range(20)}
    answer = await client.post("/v1/vision/detection", data=form, files={"image": red})
    assert answer.status_code == 413


async def test_a_model_of_another_task_is_not_found(client: httpx.AsyncClient, red: bytes) -> None:
    answer = await client.post("/v1/vision/custom/tiny", files={"image": red})
    assert answer.status_code == 404


def test_boxes_are_widened_to_whole_pixels_and_the_message_counts_labels() -> None:
    box = detect.Box(x_min=1.9, y_min=2.0, x_max=3.1, y_max=4.0)
    found = [
        detect.Detection(label=label, index=0, score=score, box=box)
        for label, score in (("dog", 0.9), ("cat", 0.8), ("dog", 0.7))
    ]
    result = detect.Result(
        model=ModelUsed(name="boxes", version="1", precision="fp32"),
        image=ImageSeen(width=10, height=10),
        timing_ms=Timing(decode=2.4, queue=1, run=3.4, total=1234.5678),
        detections=found,
    )
    told = deepstack.Detections.model_validate_json(deepstack.detections(result, "cuda"))
    first = told.predictions[0]
    assert (first.x_min, first.y_min, first.x_max, first.y_max) == (1, 2, 4, 4)
    assert told.message == "Found dog (2), cat (1)"
    assert (told.inferenceMs, told.processMs, told.analysisRoundTripMs) == (3, 6, 1235)
    assert told.duration == 1.234568
    assert (told.executionProvider, told.canUseGPU) == ("CUDA", True)


def test_no_more_are_told_than_frigate_has_room_for() -> None:
    box = detect.Box(x_min=0, y_min=0, x_max=1, y_max=1)
    result = detect.Result(
        model=ModelUsed(name="boxes", version="1", precision="fp32"),
        image=ImageSeen(width=10, height=10),
        timing_ms=Timing(decode=0, queue=0, run=0, total=0),
        detections=[
            detect.Detection(label="hen", index=0, score=1 - n / 100, box=box) for n in range(30)
        ],
    )
    told = deepstack.Detections.model_validate_json(deepstack.detections(result, "cpu"))
    assert told.count == len(told.predictions) == 20
    assert [each.confidence for each in told.predictions] == [1 - n / 100 for n in range(20)]
