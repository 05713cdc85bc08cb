"""Every kind of file gives, as a model folder, what it gives when run by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from service.admission import Admission
from service.contract import read_manifest
from service.device import Device
from service.loading import Loader
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Telemetry

RGB_MEAN, RGB_STD = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
NORMALISED = ["--mean", "123.7,116.3,103.5", "--std", "58.4,57.1,57.4"]
TF = ["--preset", "tf"]
TF_NUMBERS = {"mean": 127.5, "std": 127.5}


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


@pytest.mark.parametrize(
    ("options", "arguments", "numbers"),
    [
        pytest.param({}, NORMALISED, {"mean": RGB_MEAN, "std": RGB_STD}, id="channels first"),
        pytest.param(
            {"layout": "nhwc"},
            ["--preset", "caffe"],
            {"layout": "nhwc", "bgr": True, "mean": (103.939, 116.779, 123.68)},
            id="channels last, BGR",
        ),
        pytest.param(
            {},
            [*NORMALISED, "--channels", "bgr"],
            {"bgr": True, "mean": RGB_MEAN, "std": RGB_STD},
            id="BGR, channels first",
        ),
        pytest.param(
            {},
            ["--range", "0..1", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"],
            {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
            id="0..1",
        ),
        pytest.param(
            {},
            ["--preset", "torchvision"],
            {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
            id="torchvision",
        ),
        pytest.param({}, ["--preset", "unit"], {"std": 255}, id="unit"),
        pytest.param({}, ["--preset", "raw"], {}, id="raw"),
        pytest.param({"dtype": "uint8"}, [], {"dtype": "uint8"}, id="bytes"),
        pytest.param(
            {"dtype": "uint8", "layout": "nhwc"},
            ["--channels", "bgr"],
            {"dtype": "uint8", "layout": "nhwc", "bgr": True},
            id="bytes, channels last, BGR",
        ),
        pytest.param(
            {"dtype": "uint8", "layout": "nhwc"},
            [],
            {"dtype": "uint8", "layout": "nhwc"},
            id="under the contract already",
        ),
        pytest.param({"size": None}, ["--size", "16", *TF], TF_NUMBERS, id="any size"),
        pytest.param(
            {"names": ("images", "logits")},
            TF,
            {**TF_NUMBERS, "output": "logits"},
            id="the contract's own names",
        ),
        pytest.param({"external": True}, TF, TF_NUMBERS, id="weights in another file"),
        pytest.param(
            {"opset": 7, "ir_version": 3, "weights_as_inputs": True}, TF, TF_NUMBERS, id="old"
        ),
        pytest.param({"ends": "nc11"}, TF, TF_NUMBERS, id="N,C,1,1"),
        pytest.param({"ends": "1nc"}, TF, TF_NUMBERS, id="1,N,C"),
        pytest.param(
            {"extra": "output"}, [*TF, "--output", "scores"], TF_NUMBERS, id="several outputs"
        ),
    ],
)
def test_the_same_scores_in_batches_of_any_size(
    desk: Any, options: dict[str, Any], arguments: list[str], numbers: dict[str, Any]
) -> None:
    path = desk.write(**options)
    desk.run(str(path), *arguments)
    images = desk.pictures(7)
    expected = desk.by_hand(images, **numbers)
    assert np.ptp(expected, axis=0).min() > 1e-2  # or nothing could differ
    for count in (1, 3, 7):
        seen = desk.logits(images[:count])
        assert seen == pytest.approx(expected[:count], abs=1e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize(
    ("options", "numbers", "said"),
    [
        ({"batch": 1, "flat": "reshape"}, {}, "takes a batch of 1 only"),
        ({"batch": 1, "flat": "flatten"}, {}, "takes a batch of 1 only"),
        ({"batch": 3, "flat": "reshape"}, {"repeat": 3}, "takes a batch of 3 only"),
        ({"batch": 1, "flat": "line"}, {}, "takes a batch of 1 only"),
        ({"batch": 1, "flat": "constant"}, {}, "takes a batch of 1 only"),
        ({"batch": 1, "flat": "allowzero"}, {}, "takes a batch of 1 only"),
        ({"batch": 1, "flat": "turned"}, {}, "off); their pictures go through it one by one"),
        ({"batch": 1, "opset": 7, "flat": "reshape"}, {}, "takes a batch of 1 only"),
        ({"batch": 1, "glued": True}, {}, "one by one"),
        ({"batch": 1, "glued": True, "layout": "nhwc"}, {"layout": "nhwc"}, "one by one"),
        ({"mixed": True}, {}, "one by one"),
    ],
)
def test_a_fixed_batch_becomes_free(
    desk: Any, options: dict[str, Any], numbers: dict[str, Any], said: str
) -> None:
    path = desk.write(**options)
    desk.run(str(path), *TF, *(["--output-kind", "logits"] if "mixed" in options else []))
    assert said in "\n".join(desk.said)
    images = desk.pictures(7)
    expected = desk.by_hand(images, **TF_NUMBERS, **numbers)
    for count in (1, 2, 7):
        assert desk.logits(images[:count]) == pytest.approx(expected[:count], abs=1e-4)


@pytest.mark.parametrize("ends", ["softmax", "sharp"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_softmax_gives_probabilities_back(desk: Any, ends: str, dtype: str) -> None:
    desk.run(str(desk.write(ends=ends, dtype=dtype)), *TF)
    assert "probabilities already" in "\n".join(desk.said)
    images = desk.pictures(5)
    logits = desk.logits(images)
    assert np.isfinite(logits).all()
    expected = desk.by_hand(images, **TF_NUMBERS, dtype=dtype)
    assert softmax(logits) == pytest.approx(expected, abs=1e-6 if dtype == "float32" else 2e-3)
    made = read_manifest(desk.models / "mine").provenance
    assert made.config["output_kind"] == "probabilities"


def test_scores_that_hardly_differ_are_pointed_out_and_still_compared(desk: Any) -> None:
    desk.run(str(desk.write(ends="faint", batch=1, flat="turned")), *TF)
    assert "differ by" in "\n".join(desk.said)
    assert "one by one" in "\n".join(desk.said)  # what "turned" does to a batch was seen
    images = desk.pictures(3)
    assert desk.logits(images) == pytest.approx(desk.by_hand(images, **TF_NUMBERS), abs=1e-10)


def test_what_the_user_says_of_the_scores_stands(desk: Any) -> None:
    desk.run(str(desk.write(ends="softmax")), *TF, "--output-kind", "logits")
    assert "taken as logits, as you say" in "\n".join(desk.said)
    images = desk.pictures(2)
    assert desk.logits(images) == pytest.approx(desk.by_hand(images, **TF_NUMBERS), abs=1e-5)


def test_independent_scores_are_pointed_out(desk: Any) -> None:
    desk.run(str(desk.write(ends="sigmoid")), *TF)
    assert "keeps their order only" in "\n".join(desk.said)


def test_float16_stays_float16(desk: Any) -> None:
    desk.run(str(desk.write(dtype="float16")), *TF, "--dtype", "float16")
    folder = desk.models / "mine"
    (precision,) = read_manifest(folder).precisions
    assert precision == "fp16"
    images = desk.pictures(3)
    expected = desk.by_hand(images, **TF_NUMBERS, dtype="float16")
    assert desk.logits(images) == pytest.approx(expected, abs=5e-3)


def test_a_folder_the_service_loads(desk: Any) -> None:
    desk.run(
        str(desk.write()),
        *NORMALISED,
        "--default",
        *("--licence", "MIT", "--url", "https://example.org/net", "--description", "Four animals."),
        *("--resize", "letterbox", "--interpolation", "bicubic", "--pad-value", "114"),
    )
    folder = desk.models / "mine"
    settings = Settings(models=desk.models)
    device = Device("cpu", 1)
    loader = Loader(settings, device, TASKS, Telemetry(), in_service=Admission())
    ((precision, deviation, tolerance),) = loader.check(folder)
    assert (precision, deviation <= tolerance <= 2e-4) == ("fp32", True)
    manifest = read_manifest(folder)
    assert manifest.default
    assert manifest.labels == ("ant", "bee", "cat", "dog")
    assert manifest.input.model_dump(include={"resize", "crop", "interpolation", "pad_value"}) == {
        "resize": "letterbox",
        "crop": 1.0,
        "interpolation": "bicubic",
        "pad_value": 114,
    }
    made = manifest.provenance
    assert made.licence == "MIT"
    assert made.data[0].url == "https://example.org/net"
    assert str(desk.folder) not in made.command
    assert "net.onnx --mean 123.7,116.3,103.5" in made.command
    assert "torch" not in made.libraries
    card = (folder / "MODEL_CARD.md").read_text()
    for words in ("Four animals.", "`net.onnx` run by hand", "mean 123.7, 116.3, 103.5", "MIT"):
        assert words in card
    assert sorted(path.name for path in desk.models.iterdir()) == ["mine"]


def test_nothing_of_the_other_outputs_is_left(desk: Any) -> None:
    desk.run(str(desk.write(extra="output")), *TF, "--output", "scores")
    model = onnx.load(desk.models / "mine/1/model.onnx")
    assert [output.name for output in model.graph.output] == ["logits"]
    onnx.checker.check_model(model, full_check=True)


def test_the_files_do_not_depend_on_the_place(desk: Any, tmp_path: Path) -> None:
    path = desk.write(opset=7, weights_as_inputs=True, ir_version=3)
    desk.run(str(path), *TF)
    first = {p.name: p.read_bytes() for p in (desk.models / "mine").rglob("*") if p.is_file()}
    desk.run(str(path), *TF, "--overwrite")
    again = {p.name: p.read_bytes() for p in (desk.models / "mine").rglob("*") if p.is_file()}
    assert first == again
