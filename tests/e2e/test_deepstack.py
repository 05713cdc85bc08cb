"""Clients of DeepStack and CodeProject.AI Server against the real command."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import requests
from fabricate import Tiny, TinyDetector
from live_server import Server
from pictures import saved
from PIL import Image

pytestmark = pytest.mark.live

WHITE = saved(Image.new("RGB", (160, 80), (255, 255, 255)), "JPEG")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models: Path = tmp_path_factory.mktemp("models")
    Tiny().write(models)
    TinyDetector().write(models)
    TinyDetector(name="yard", labels=("hen", "fox", "cart"), default=False).write(models)
    with Server(models) as running:
        yield running.wait_until_ready()
        assert not running.complaints()


@pytest.mark.parametrize(("model", "label"), [("", "cat"), ("yard", "hen")])
def test_the_client_of_codeproject_ai(server: Server, model: str, label: str) -> None:
    """The package that Home Assistant's component for CodeProject.AI uses.

    It brings a package ``tests`` of its own, which would hide this one, so it is not installed with
    the others: pip install codeproject-ai-api in an environment that only runs this test.
    """
    theirs = pytest.importorskip("codeprojectai.core")
    asked = theirs.CodeProjectAIObject(
        "127.0.0.1", server.port, custom_model=model, min_confidence=0.2
    )
    told = asked.detect(WHITE)
    assert told[0]["label"] == label
    confidences = [each["confidence"] for each in told]
    assert confidences == sorted(confidences, reverse=True)
    for each in told:
        assert 0 <= each["x_min"] < each["x_max"] <= 160
        assert 0 <= each["y_min"] < each["y_max"] <= 80
        assert all(type(each[side]) is int for side in ("x_min", "y_min", "x_max", "y_max"))
    sure = theirs.CodeProjectAIObject(
        "127.0.0.1", server.port, custom_model=model, min_confidence=0.6
    )
    assert 0 < len(sure.detect(WHITE)) < len(told)
    with pytest.raises(theirs.CodeProjectAIException, match="404"):
        theirs.CodeProjectAIObject("127.0.0.1", server.port, custom_model="none").detect(WHITE)


def test_what_frigate_does_with_an_answer(server: Server) -> None:
    """Its plugin sends no confidence, has room for 20 objects and stops at the first below 0.4."""
    frame = np.full((320, 320, 3), 255, np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(frame).save(jpeg, "JPEG")
    told: Any = requests.post(
        f"http://127.0.0.1:{server.port}/v1/vision/detection",
        data={"api_key": ""},
        files={"image": jpeg.getvalue()},
        timeout=60,
    ).json()
    room = np.zeros((20, 6), np.float32)
    for place, found in enumerate(told["predictions"]):
        assert found["confidence"] >= 0.4
        sides = [found[side] / 320 for side in ("y_min", "x_min", "y_max", "x_max")]
        room[place] = [0, found["confidence"], *sides]
    assert room[0, 1] == 1
    assert (room[:, 2:] <= 1).all()


def test_what_blue_iris_reads(server: Server) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}/v1/vision") as http:
        told = http.post("/custom/list").json()
        assert told["success"] is True
        assert sorted(told["models"]) == ["boxes", "yard"]
        form = {"min_confidence": "0.20", "unknown": "field"}
        told = http.post("/custom/yard", data=form, files={"image": ("a.jpg", WHITE)}).json()
        assert told["success"] is True
        assert told["count"] == len(told["predictions"]) == 2
        assert told["message"].startswith("Found hen (1)")
        assert told["moduleName"] == "yard"
        for field in ("inferenceMs", "processMs", "analysisRoundTripMs", "code"):
            assert type(told[field]) is int
        assert told["executionProvider"] == "CPU"


def test_the_scene_of_a_picture(server: Server) -> None:
    red = saved(Image.new("RGB", (20, 20), (255, 0, 0)), "PNG")
    told = httpx.post(
        f"http://127.0.0.1:{server.port}/v1/vision/scene", files={"image": red}
    ).json()
    assert (told["success"], told["label"]) == (True, "red")
    assert told["confidence"] == pytest.approx(1)


def test_errors_are_told_as_these_clients_read_them(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/v1/vision/detection"
    for files, data, status in (
        ({"image": b"no picture"}, {}, 415),
        ({"picture": WHITE}, {}, 400),
        ({"image": WHITE}, {"min_confidence": "2"}, 422),
        ({"image": WHITE}, {"min_confidence": "nan"}, 422),
        ({"image": b""}, {}, 400),
    ):
        answer = httpx.post(url, files=files, data=data)
        assert answer.status_code == status
        assert answer.json()["success"] is False
        assert answer.json()["error"]
