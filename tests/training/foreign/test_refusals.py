"""What cannot be imported is refused in one line, and nothing is written."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from training.foreign import source
from training.foreign.errors import ForeignFileError

TF = ["--preset", "tf"]


def refused(desk: Any, *arguments: str) -> str:
    before = sorted(desk.models.rglob("*")) if desk.models.exists() else []
    with pytest.raises(ForeignFileError) as caught:
        desk.run(*arguments)
    assert (sorted(desk.models.rglob("*")) if desk.models.exists() else []) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("options", "arguments", "complaint"),
    [
        ({"domain": "acme"}, TF, r"custom operators.*acme::Identity"),
        ({"extra": "input"}, TF, r"one input.*data: float32\[\?, 3, 16, 16\], scale: float32\[1\]"),
        ({"extra": "output"}, TF, r"--output.*features: float32\[\?, 6, \?, \?\], scores: float32"),
        ({}, [*TF, "--output", "features"], r"no output 'features'; there are: scores"),
        ({"ends": "argmax"}, TF, r"floating-point.*scores: int64\[\?, 1\] is not"),
        ({"ends": "nan"}, TF, "not finite; see whether mean"),
        ({"channels": 1}, TF, r"three colour channels.*\[\?, 1, 16, 16\]"),
        ({"channels": 4, "layout": "nhwc"}, [*TF, "--layout", "nhwc"], "3 channels on axis 3"),
        ({}, [*TF, "--layout", "nhwc"], "--layout nhwc has its 3 channels on axis 3"),
        ({"size": 3}, TF, "does not say where its channels are; add --layout"),
        ({}, [*TF, "--dtype", "float16"], "--dtype float16, but the input is data: float32"),
        ({"dtype": "int32"}, TF, "must be one of float32, float16, uint8"),
        ({"size": None}, TF, "takes any size.*--size 224"),
        ({}, [*TF, "--size", "16x20"], r"height or width of 20, but the input is"),
        ({"size": None}, [*TF, "--size", "2"], "fails on a picture of 2x2"),
        ({}, [], "say which numbers it was trained on: --preset torchvision"),
        ({}, ["--mean", "0.5", "--std", "0.5"], r"--range 0\.\.1, or --range 0\.\.255"),
        ({}, [*TF, "--mean", "1"], "give it alone"),
        ({"dtype": "uint8"}, TF, "takes bytes as they are"),
        ({"dtype": "uint8"}, ["--mean", "100"], "takes bytes as they are"),
        ({}, [*TF, "--output-kind", "probabilities"], "does not hold probabilities: scores from -"),
        ({}, [*TF, "--resize", "squash", "--crop", "0.9"], "crop applies to resize='shortest_"),
        ({}, [*TF, "--crop", "0"], "crop: Input should be greater than 0"),
        ({"noisy": True}, TF, "other scores each time.*evaluation mode"),
        ({"batch": 2, "mixed": True}, TF, "for 2 at a time.*free batch axis"),
        ({"batch": 3, "glued": True}, TF, "for 3 at a time.*free batch axis"),
        ({"opset": 99}, TF, "ONNX Runtime cannot load it"),
        ({"ir_version": 99}, TF, "ONNX Runtime cannot load it"),
    ],
)
def test_a_file_that_does_not_fit(
    desk: Any, options: dict[str, Any], arguments: list[str], complaint: str
) -> None:
    path = desk.write(**options)
    message = refused(desk, str(path), *arguments)
    assert re.search(complaint, message)


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"no model at all", b"\x00" * 1000])
def test_a_file_that_is_not_onnx(desk: Any, content: bytes) -> None:
    path = desk.folder / "net.onnx"
    path.write_bytes(content)
    assert "is not an ONNX file" in refused(desk, str(path), *TF)


def test_a_file_cut_short(desk: Any) -> None:
    path: Path = desk.write()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "is not an ONNX file" in refused(desk, str(path), *TF)


def test_a_missing_file_and_missing_weights(desk: Any) -> None:
    assert "cannot be read (No such file" in refused(desk, str(desk.folder / "net.onnx"), *TF)
    assert "cannot be read (Is a directory" in refused(desk, str(desk.folder), *TF)
    path = desk.write(external=True)
    (desk.folder / "weights.bin").unlink()
    message = refused(desk, str(path), *TF)
    assert "weights.bin, which cannot be read" in message
    assert "keep the files together" in message


def test_weights_outside_the_folder_are_not_read(desk: Any) -> None:
    path: Path = desk.write(external=True)
    inner = desk.folder / "inner"
    inner.mkdir()
    moved = inner / "net.onnx"
    moved.write_bytes(path.read_bytes().replace(b"weights.bin", b"../ghts.bin"))
    (desk.folder / "weights.bin").rename(desk.folder / "ghts.bin")
    assert "its weights lie in other files, which cannot be read" in refused(desk, str(moved), *TF)


@pytest.mark.parametrize("external", [False, True])
def test_a_file_that_is_too_large(
    desk: Any, monkeypatch: pytest.MonkeyPatch, external: bool
) -> None:
    path: Path = desk.write(external=external)
    monkeypatch.setattr(source, "MOST_BYTES", path.stat().st_size - (not external))
    assert "2 GiB" in refused(desk, str(path), *TF)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("labels.txt", "ant\nbee\ncat\n", "gives 4 scores a picture, but there are 3 labels"),
        ("labels.txt", "ant\n\ncat\ndog\n", "label 2 of 4 is empty"),
        ("labels.txt", " \n", "holds no label"),
        ("labels.json", "[1, 2, 3, 4]", "a label is not a text"),
        ("labels.json", "{", "is not JSON"),
        ("labels.json", '{"0": "ant", "2": "bee"}', "not the indices 0 to 1"),
        ("labels.json", '"ant"', "neither a list"),
    ],
)
def test_labels_that_do_not_fit(desk: Any, file: str, text: str, complaint: str) -> None:
    (desk.folder / file).write_text(text)
    path = str(desk.write())
    assert complaint in refused(desk, path, *TF, "--labels", str(desk.folder / file))


@pytest.mark.parametrize(
    "content",
    [["ant", "bee", "cat", "dog"], {"3": "dog", "2": "cat", "1": "bee", "0": ["n0", "ant"]}],
)
def test_labels_in_json(desk: Any, content: object) -> None:
    file = desk.folder / "labels.json"
    file.write_text(json.dumps(content))
    desk.run(str(desk.write()), *TF, "--labels", str(file))
    assert json.loads((desk.models / "mine/manifest.json").read_text())["labels"] == [
        "ant",
        "bee",
        "cat",
        "dog",
    ]


def test_an_existing_model_is_replaced_only_when_asked(desk: Any) -> None:
    path = str(desk.write())
    desk.run(path, *TF)
    assert "--overwrite" in refused(desk, path, "--preset", "raw")
    broken = str(desk.write(ends="nan"))
    before = (desk.models / "mine/manifest.json").read_bytes()
    refused(desk, broken, *TF, "--overwrite")
    assert (desk.models / "mine/manifest.json").read_bytes() == before
    desk.run(str(desk.write()), "--preset", "raw", "--overwrite")
    assert (desk.models / "mine/manifest.json").read_bytes() != before


@pytest.mark.parametrize("name", ["Mine", "../mine", "", "a b"])
def test_a_name_that_is_none(desk: Any, name: str) -> None:
    assert "--name" in refused(desk, str(desk.write()), *TF, "--name", name)
