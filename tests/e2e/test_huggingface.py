"""The unmodified ``huggingface_hub`` package against the real command."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from live_server import Server
from pictures import saved
from PIL import Image

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models: Path = tmp_path_factory.mktemp("models")
    Tiny().write(models)
    Tiny(name="other", labels=("warm", "cold"), default=False).write(models)
    TinyDetector().write(models)
    TinySegmenter().write(models)
    TinyCaptioner().write(models)
    TinyStylizer().write(models)
    with Server(models) as running:
        yield running.wait_until_ready()
        assert not running.complaints()


def client(server: Server, task: str) -> InferenceClient:
    return InferenceClient(model=f"http://127.0.0.1:{server.port}/hf/{task}", timeout=60)


def colour(*values: int, width: int = 16, height: int = 16) -> bytes:
    return saved(Image.new("RGB", (width, height), values), "PNG")


@pytest.mark.parametrize("task", ["image-classification", "classify"])
def test_image_classification(server: Server, task: str) -> None:
    asked = client(server, task)
    told = asked.image_classification(colour(200, 0, 0))
    assert [each.label for each in told] == ["red", "green", "blue"]
    assert sum(each.score for each in told) == pytest.approx(1, abs=1e-5)
    assert len(asked.image_classification(colour(0, 200, 0), top_k=1)) == 1
    (first,) = asked.image_classification(colour(0, 200, 0), top_k=1, function_to_apply="softmax")
    assert first.label == "green"


def test_pictures_in_every_form_a_client_takes(server: Server, tmp_path: Path) -> None:
    asked = client(server, "image-classification")
    for kind in ("webp", "jpeg", "png"):
        path = tmp_path / f"blue.{kind}"
        path.write_bytes(saved(Image.new("RGB", (16, 16), (0, 0, 200)), kind))
        for picture in (str(path), path, path.read_bytes()):
            assert asked.image_classification(picture)[0].label == "blue"
            assert asked.image_classification(picture, top_k=1)[0].label == "blue"


def test_another_model_than_the_default(server: Server) -> None:
    asked = client(server, "image-classification?model=other")
    assert {each.label for each in asked.image_classification(colour(9, 0, 0))} == {"warm", "cold"}


@pytest.mark.parametrize("task", ["object-detection", "detect"])
def test_object_detection(server: Server, task: str) -> None:
    asked = client(server, task)
    told = asked.object_detection(colour(255, 255, 255, width=160, height=160))
    assert [each.label for each in told] == ["cat", "dog", "traffic light, red"]
    assert [each.score for each in told] == pytest.approx([1.0, 0.7, 0.4])
    for each in told:
        assert 0 <= each.box.xmin < each.box.xmax <= 160
        assert 0 <= each.box.ymin < each.box.ymax <= 160
        assert all(isinstance(value, int) for value in each.box.values())
    sure = asked.object_detection(colour(255, 255, 255, width=160, height=160), threshold=0.6)
    assert 0 < len(sure) < len(told)


@pytest.mark.parametrize("task", ["image-segmentation", "segment"])
def test_image_segmentation(server: Server, task: str) -> None:
    halves = Image.new("RGB", (32, 24), (250, 0, 0))
    halves.paste((0, 0, 200), (16, 0, 32, 24))
    picture = saved(halves, "PNG")
    told = client(server, task).image_segmentation(picture)
    masks = {each.label: np.asarray(each.mask) for each in told}
    assert set(masks) == {"red", "blue"}
    assert masks["red"].shape == (24, 32)
    assert set(np.unique(masks["red"])) == {0, 255}
    assert masks["red"][:, :14].all()
    assert not masks["red"][:, 18:].any()
    assert not (masks["red"] & masks["blue"]).any()
    sure = client(server, task).image_segmentation(picture, threshold=0.9, subtask="semantic")
    assert [each.label for each in sure] == ["red"]
    assert sure[0].score is not None
    assert sure[0].score == pytest.approx(250 / 255, abs=0.01)


@pytest.mark.parametrize("task", ["image-to-text", "caption"])
def test_image_to_text(server: Server, task: str) -> None:
    told = client(server, task).image_to_text(colour(0, 200, 0))
    assert "green" in told.generated_text


@pytest.mark.parametrize("task", ["image-to-image", "stylize"])
def test_image_to_image(server: Server, task: str) -> None:
    picture = colour(0, 200, 0, width=64, height=32)
    asked = client(server, task)
    styled = asked.image_to_image(picture, prompt="wave")
    assert (styled.format, styled.size) == ("PNG", (64, 32))
    mixed = asked.image_to_image(picture, prompt="wave:0.7, fire:0.3", alpha=0.5)
    assert np.asarray(mixed).shape == (32, 64, 3)
    assert np.asarray(mixed).tolist() != np.asarray(styled).tolist()
    size = {"height": 32, "width": 32}
    small = asked.image_to_image(picture, prompt="wave", target_size=size)  # type: ignore[arg-type]
    assert small.size == (32, 16)


def test_errors_are_told_in_words(server: Server) -> None:
    with pytest.raises(HfHubHTTPError, match="presets: ") as raised:
        client(server, "image-to-image").image_to_image(colour(1, 2, 3))
    assert raised.value.response.status_code == 422
    with pytest.raises(HfHubHTTPError, match="mask_threshold") as raised:
        client(server, "segment").image_segmentation(colour(1, 2, 3), mask_threshold=0.5)
    assert raised.value.response.status_code == 422
    with pytest.raises(HfHubHTTPError, match="num_inference_steps"):
        client(server, "stylize").image_to_image(
            colour(1, 2, 3), prompt="wave", num_inference_steps=4
        )
    with pytest.raises(HfHubHTTPError) as raised:
        client(server, "classify").image_classification(b"no picture at all")
    assert raised.value.response.status_code == 415
    assert raised.value.response.json()["error"].startswith("not a JPEG, PNG")
    with pytest.raises(HfHubHTTPError) as raised:
        client(server, "classify?model=none").image_classification(colour(1, 2, 3))
    assert raised.value.response.status_code == 404
