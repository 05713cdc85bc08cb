"""The unmodified ``tritonclient`` package against the real command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from fabricate import Tiny, TinyCaptioner, TinyStylizer
from live_server import Server, until
from numpy.typing import NDArray
from pictures import saved
from PIL import Image
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models: Path = tmp_path_factory.mktemp("models")
    Tiny().write(models)
    TinyCaptioner().write(models)
    TinyStylizer().write(models)
    with Server(models, "--allow-repository-control", "true") as running:
        yield running.wait_until_ready()
        assert not running.complaints()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as opened:
        yield opened


def tensor(array: NDArray[Any], name: str = "images", **how: Any) -> Any:
    datatype = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32", "object": "BYTES"}
    given = triton.InferInput(name, list(array.shape), datatype[str(array.dtype)])
    return given.set_data_from_numpy(array, **how)


def shades(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.stack([np.full((16, 16, 3), colour, np.uint8) for colour in colours])


def files(*colours: tuple[int, int, int], kind: str = "PNG") -> NDArray[np.object_]:
    encoded = np.empty(len(colours), np.object_)
    encoded[:] = [saved(Image.fromarray(picture), kind) for picture in shades(*colours)]
    return encoded


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2")
    assert not client.is_model_ready("none")
    told = client.get_server_metadata()
    assert told["name"] == "sightline"
    assert {
        "binary_tensor_data",
        "classification",
        "model_repository",
        "statistics",
    } <= set(told["extensions"])
    told = client.get_model_metadata("sentences")
    assert told["inputs"] == [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 16, 16, 3]},
        {"name": "max_length", "datatype": "INT32", "shape": [-1]},
    ]
    assert {each["name"]: each["datatype"] for each in told["outputs"]} == {
        "tokens": "INT32",
        "lengths": "INT32",
        "scores": "FP32",
        "attention": "FP32",
    }
    told = client.get_model_config("tiny", "1")
    assert told["input"] == [{"name": "images", "data_type": "TYPE_UINT8", "dims": [16, 16, 3]}]
    assert told["parameters"]["task"] == {"string_value": "classify"}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tensors(client: Any, binary: bool, compression: str | None) -> None:
    given = shades((200, 0, 0), (0, 100, 0), (0, 0, 50))
    result = client.infer(
        "tiny",
        [tensor(given, binary_data=binary)],
        outputs=[triton.InferRequestedOutput("logits", binary_data=binary)],
        request_id="7",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    np.testing.assert_allclose(result.as_numpy("logits"), np.diag([20, 10, 5]), rtol=1e-5)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


def test_every_output_without_being_asked_for(client: Any) -> None:
    inputs = [tensor(shades((9, 0, 0))), tensor(np.array([2], np.int32), "max_length")]
    result = client.infer("sentences", inputs)
    assert result.as_numpy("lengths").tolist() == [[2, 2, 2]]
    assert result.as_numpy("attention").shape == (1, 3, 5, 8, 8)
    assert result.as_numpy("scores").dtype == np.float32


def test_classes(client: Any) -> None:
    wanted = [triton.InferRequestedOutput("logits", class_count=2)]
    told = client.infer("tiny", [tensor(shades((0, 200, 100)))], outputs=wanted).as_numpy("logits")
    assert told.tolist() == [[b"20.000000:1:green", b"10.000000:2:blue"]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_encoded_pictures(client: Any, kind: str) -> None:
    given = tensor(files((250, 0, 0), (0, 0, 250), kind=kind))
    result = client.infer("tiny", [given], parameters={"top_k": 1})
    answers = [json.loads(text) for text in result.as_numpy("answer")]
    assert [answer["predictions"][0]["label"] for answer in answers] == ["red", "blue"]
    assert [len(answer["predictions"]) for answer in answers] == [1, 1]
    wanted = [triton.InferRequestedOutput("logits")]
    logits = client.infer("tiny", [given], outputs=wanted).as_numpy("logits")
    assert logits.argmax(axis=1).tolist() == [0, 2]


def test_a_captions_words(client: Any) -> None:
    result = client.infer("sentences", [tensor(files((0, 200, 0)))], parameters={"max_length": 3})
    (answer,) = result.as_numpy("answer")
    assert "green" in json.loads(answer)["captions"][0]["text"]


def test_a_picture_in_the_style_of_a_preset(client: Any) -> None:
    result = client.infer("styles", [tensor(files((0, 200, 0)))], parameters={"style": "wave"})
    assert result.as_numpy("stylized").shape == (1, 16, 16, 3)
    assert result.as_numpy("stylized").dtype == np.uint8


def test_several_requests_at_once(client: Any) -> None:
    waiting = [client.async_infer("tiny", [tensor(shades((0, 10 * n, 0)))]) for n in range(12)]
    logits = [each.get_result().as_numpy("logits")[0, 1] for each in waiting]
    np.testing.assert_allclose(logits, np.arange(12), rtol=1e-5)


def test_statistics(client: Any) -> None:
    (before,) = client.get_inference_statistics("tiny", "1")["model_stats"]
    client.infer("tiny", [tensor(shades((1, 1, 1), (2, 2, 2), (3, 3, 3)))])

    def stats() -> Any:
        return client.get_inference_statistics("tiny")["model_stats"][0]

    until(lambda: stats()["execution_count"] > before["execution_count"])
    after = stats()
    assert after["inference_count"] == before["inference_count"] + 3
    assert after["execution_count"] <= before["execution_count"] + 3
    took = after["inference_stats"]
    assert took["success"]["count"] == before["inference_stats"]["success"]["count"] + 3
    assert took["success"]["ns"] > took["compute_infer"]["ns"] > 0
    assert after["last_inference"] > 1_700_000_000_000
    told = client.get_inference_statistics()["model_stats"]
    assert {each["name"] for each in told} == {"tiny", "sentences", "styles"}


@pytest.mark.parametrize(
    ("model", "given", "status", "why"),
    [
        ("tiny", {"inputs": [tensor(np.zeros((1, 8, 8, 3), np.uint8))]}, "400", "has shape"),
        ("tiny", {"inputs": [tensor(np.zeros((1, 16, 16, 3), np.float32))]}, "400", "is FP32"),
        ("tiny", {"inputs": [tensor(shades((0, 0, 0)), "pixels")]}, "400", "'pixels'"),
        ("sentences", {"inputs": [tensor(shades((0, 0, 0)))]}, "400", "'max_length'"),
        ("tiny", {"sequence_id": 1, "sequence_start": True}, "400", "sequences"),
        ("tiny", {"outputs": [triton.InferRequestedOutput("scores")]}, "400", "'scores'"),
        ("tiny", {"model_version": "3"}, "404", "no version '3'"),
        ("none", {}, "404", "no model 'none'"),
        ("tiny", {"timeout": 1}, "504", "deadline"),
    ],
)
def test_errors_are_told_in_words(
    client: Any, model: str, given: dict[str, Any], status: str, why: str
) -> None:
    request = {"inputs": [tensor(shades((0, 0, 0)))]} | given
    with pytest.raises(InferenceServerException) as raised:
        client.infer(model, **request)
    assert raised.value.status() == status
    assert why in raised.value.message()


def test_what_is_no_picture_is_told_in_words(client: Any) -> None:
    nothing = np.array([b"nothing"], np.object_)
    with pytest.raises(InferenceServerException, match="not a JPEG, PNG") as raised:
        client.infer("tiny", [tensor(nothing)])
    assert raised.value.status() == "415"


def test_the_repository_is_told_and_models_come_and_go(client: Any) -> None:
    def states() -> dict[str, str]:
        return {each["name"]: each["state"] for each in client.get_model_repository_index()}

    assert states()["tiny"] == "READY"
    client.unload_model("tiny")
    assert not client.is_model_ready("tiny")
    assert states()["tiny"] == "UNAVAILABLE"
    client.load_model("tiny")
    assert client.is_model_ready("tiny")
    with pytest.raises(InferenceServerException, match="nobody"):
        client.load_model("nobody")
