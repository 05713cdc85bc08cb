"""The manifest: what it means, and that it is refused by name when it means nothing."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fabricate import Tiny
from pydantic import ValidationError

from service.contract import (
    Dimension,
    DType,
    InputGeometry,
    Manifest,
    describe,
    read_manifest,
    require_tensor,
    shape_of,
)
from service.errors import ManifestError

REMOVE = object()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Tiny(precisions=("fp32", "int8"), top1=(0.9, 0.89)).write(tmp_path)


def changed(folder: Path, where: str, value: Any) -> Any:
    """The manifest's document with the value at a dotted path replaced."""
    document = json.loads((folder / "manifest.json").read_text())
    *path, last = where.split(".")
    at: Any = document
    for key in path:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is REMOVE:
        del at[last]
    elif isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value
    return document


def refusal(folder: Path, document: Any) -> str:
    """What is said of a document."""
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ManifestError) as caught:
        read_manifest(folder)
    return str(caught.value)


def test_a_manifest_survives_being_written_and_read(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert manifest.precisions == ("fp32", "int8")
    assert manifest.quality("int8") == {"top1/colours/test": 0.89}


def test_a_manifest_is_frozen(folder: Path) -> None:
    manifest = read_manifest(folder)
    with pytest.raises(ValidationError, match="frozen"):
        manifest.version = "2"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("schema_version", 2),
        ("schema_version", "1"),
        ("name", "Has Spaces"),
        ("name", "-leading"),
        ("name", "a" * 65),
        ("name", "../up"),
        ("name", "tiny\n"),
        ("version", "0"),
        ("version", "1.0"),
        ("version", 1),
        ("task", REMOVE),
        ("task", ""),
        ("default", 1),
        ("labels", "red"),
        ("labels.0", 3),
        ("graphs.main.fp32.file", REMOVE),
        ("graphs.main.fp32.sha256", "0" * 63),
        ("graphs.main.fp32.sha256", "G" * 64),
        ("graphs.main.fp32.sha256", "A" * 64),
        ("graphs.main.fp32.sha256", "0" * 64 + "\n"),
        ("graphs.main.fp32.inputs", []),
        ("graphs.main.fp32.outputs", []),
        ("graphs.main.fp32.inputs.0.dtype", "float64"),
        ("graphs.main.fp32.inputs.0.shape.1", 0),
        ("graphs.main.fp32.inputs.0.shape.1", 1.5),
        ("graphs.main.fp32.inputs.0.shape.1", ""),
        ("graphs.main.fp32.inputs.0.shape.1", True),
        ("graphs.main.fp32.parity", REMOVE),
        ("graphs.main.fp32.parity.tolerance", -1e-9),
        ("graphs.main.fp32.parity.tolerance", float("nan")),
        ("graphs.main.fp32.parity.tolerance", float("inf")),
        ("graphs.main.fp32.parity.measured", "0.1"),
        ("input.height", 0),
        ("input.height", 16.5),
        ("input.resize", "stretch"),
        ("input.crop", 0),
        ("input.crop", 1.01),
        ("input.interpolation", "area"),
        ("input.pad_value", 256),
        ("golden", REMOVE),
        ("golden.sha256", "x"),
        ("metrics.0.variant", "bf16"),
        ("metrics.0.value", None),
        ("metrics.0.value", float("inf")),
        ("metrics.0.samples", 0),
        ("provenance", REMOVE),
        ("provenance.licence", REMOVE),
        ("provenance.seed", 1.0),
    ],
)
def test_a_wrong_value_is_refused_and_its_field_named(folder: Path, where: str, value: Any) -> None:
    message = refusal(folder, changed(folder, where, value))
    assert where in message
    assert str(folder / "manifest.json") in message


@pytest.mark.parametrize(
    "where",
    [
        "surprise",
        "input.surprise",
        "golden.surprise",
        "graphs.main.fp32.surprise",
        "graphs.main.fp32.inputs.0.surprise",
        "graphs.main.fp32.parity.surprise",
        "metrics.0.surprise",
        "provenance.surprise",
        "provenance.data.0.surprise",
    ],
)
def test_an_unknown_field_is_refused_and_named(folder: Path, where: str) -> None:
    message = refusal(folder, changed(folder, where, 1))
    assert f"{where}: Extra inputs are not permitted" in message


@pytest.mark.parametrize(
    "file",
    ["", ".", "/etc/passwd", "../secret", "1/../../secret", "1\\model.onnx", "C:/x", "1/\0x"],
)
@pytest.mark.parametrize("where", ["golden.file", "graphs.main.fp32.file"])
def test_a_file_outside_the_models_folder_is_refused(folder: Path, where: str, file: str) -> None:
    message = refusal(folder, changed(folder, where, file))
    assert where in message
    assert "must be a relative path inside the model's folder" in message


@pytest.mark.parametrize("file", ["model.onnx", "2/model.onnx", "11/model.onnx"])
def test_a_graph_outside_its_versions_folder_is_refused(folder: Path, file: str) -> None:
    message = refusal(folder, changed(folder, "graphs.main.int8.file", file))
    assert "graphs.main.int8.file must stand in the folder 1/" in message


def test_a_model_without_graphs_is_refused(folder: Path) -> None:
    assert "graphs must name at least one role" in refusal(folder, changed(folder, "graphs", {}))
    assert "graphs.main must have at least one variant" in refusal(
        folder, changed(folder, "graphs.main", {})
    )


def test_roles_that_share_no_precision_are_refused(folder: Path) -> None:
    document = changed(folder, "description", "two roles")
    variants = document["graphs"]["main"]
    document["graphs"] = {"main": {"fp32": variants["fp32"]}, "head": {"int8": variants["int8"]}}
    assert "no precision is offered by every role of graphs" in refusal(folder, document)


def test_only_precisions_that_every_role_has_are_offered(folder: Path) -> None:
    document = changed(folder, "description", "two roles")
    variants = document["graphs"]["main"]
    document["graphs"]["head"] = {"int8": copy.deepcopy(variants["int8"])}
    assert Manifest.model_validate_json(json.dumps(document)).precisions == ("int8",)


def test_a_manifest_in_a_folder_of_another_name_is_refused(folder: Path) -> None:
    message = refusal(folder, changed(folder, "name", "other"))
    assert "name is 'other' but its folder is called 'tiny'" in message


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"name": "\\ud800"}']
)
def test_what_is_not_a_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.json: "):
        read_manifest(folder)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json: cannot be read \(No such file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"resize": "squash", "crop": 0.9}, "crop applies to resize='shortest_side' only"),
        ({"resize": "letterbox", "multiple": 8}, "multiple applies to resize='pad_to_multiple'"),
        ({"resize": "pad_to_multiple", "multiple": 5}, "must be multiples of 'multiple'"),
    ],
)
def test_an_option_that_its_resize_rule_would_ignore_is_refused(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        InputGeometry(height=16, width=16, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"resize": "squash"},
        {"resize": "shortest_side", "crop": 0.875, "interpolation": "bicubic"},
        {"resize": "letterbox", "pad_value": 114},
        {"resize": "pad_to_multiple", "multiple": 8, "pad_value": 255},
    ],
)
def test_every_resize_rule_takes_the_options_that_belong_to_it(options: dict[str, Any]) -> None:
    geometry = InputGeometry(height=16, width=32, **options)
    assert geometry.model_dump(include=set(options)) == options


@pytest.mark.parametrize(
    ("role", "tensor", "dtype", "shape", "complaint"),
    [
        ("head", "logits", "float32", ("N", 3), "graphs.head: task 'classify' needs this role"),
        (
            "main",
            "boxes",
            "float32",
            ("N", 4),
            "graphs.main.fp32: there is no tensor named 'boxes'",
        ),
        ("main", "logits", "int64", ("N", 3), "logits is float32.*needs int64"),
        ("main", "logits", "float32", ("N", 4), r"logits is float32\['N', 3\].*float32\['N', 4\]"),
        ("main", "logits", "float32", ("N",), r"needs float32\['N'\]"),
        ("main", "logits", "float32", (1, 3), r"needs float32\[1, 3\]"),
        ("main", "logits", "float32", ("N", "C"), r"needs float32\['N', 'C'\]"),
    ],
)
def test_a_tensor_a_task_needs_is_asked_for_by_name(
    folder: Path,
    role: str,
    tensor: str,
    dtype: DType,
    shape: tuple[Dimension, ...],
    complaint: str,
) -> None:
    with pytest.raises(ManifestError, match=complaint) as caught:
        require_tensor(read_manifest(folder), role, tensor, dtype, shape)
    assert "graphs." in str(caught.value)


def test_a_tensor_that_is_there_satisfies_a_task_whatever_its_batch_is_called(
    folder: Path,
) -> None:
    manifest = read_manifest(folder)
    require_tensor(manifest, "main", "images", "uint8", ("batch", 16, 16, 3))
    require_tensor(manifest, "main", "logits", "float32", ("B", 3))


def test_the_shape_of_a_tensor_is_that_of_the_first_variant(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert shape_of(manifest, "main", "images") == ("N", 16, 16, 3)
    assert shape_of(manifest, "main", "logits") == ("N", 3)
    assert shape_of(manifest, "main", "boxes") == shape_of(manifest, "head", "logits") == ()


def test_a_complaint_about_the_whole_document_says_so() -> None:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate_json("[]")
    assert describe(caught.value).startswith("manifest: ")
