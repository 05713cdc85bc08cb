from pathlib import Path

import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from training import shipped_weights
from training.conversions import ConversionError
from training.shipped_weights import is_model_folder, read_model_folder

WEIGHT = torch.arange(12.0).reshape(3, 4)


class Manifest:
    """What is read of a manifest: where the graph lies."""

    def __init__(self, *precisions: str) -> None:
        variant = type("Variant", (), {"file": "1/model.onnx"})()
        self.graphs = {"main": dict.fromkeys(precisions, variant)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder whose graph holds one weight as it is and one in 16 bits."""
    monkeypatch.setattr(shipped_weights, "read_manifest", lambda _: Manifest("fp32"))
    weights = [
        numpy_helper.from_array(WEIGHT.numpy(), "net.plain"),
        numpy_helper.from_array(WEIGHT.half().numpy(), "net.stored.half"),
        numpy_helper.from_array(WEIGHT.numpy(), "other"),
    ]
    graph = helper.make_graph([], "weights", [], [], weights)
    (tmp_path / "1").mkdir()
    onnx.save(helper.make_model(graph), tmp_path / "1/model.onnx")
    return tmp_path


def test_weights_come_back_under_their_names_in_float32(folder: Path) -> None:
    names = {"plain": WEIGHT.shape, "stored": WEIGHT.shape, "absent": WEIGHT.shape}
    found = read_model_folder(folder, names, "net.")
    assert found.keys() == {"plain", "stored"}
    for tensor in found.values():
        assert tensor.dtype == torch.float32
        assert tensor.equal(WEIGHT)


def test_weights_of_another_shape_are_left_out(folder: Path) -> None:
    names = {"plain": torch.Size([4, 3]), "stored": WEIGHT.shape}
    assert read_model_folder(folder, names, "net.").keys() == {"stored"}


def test_a_graph_without_the_networks_weights_is_refused(folder: Path) -> None:
    with pytest.raises(ConversionError, match="no weights of this network"):
        read_model_folder(folder, {"plain": WEIGHT.shape}, "mine.")


def test_a_graph_that_cannot_be_read_is_told(folder: Path) -> None:
    (folder / "1/model.onnx").write_bytes(b"no graph")
    with pytest.raises(ConversionError, match="cannot be read as ONNX"):
        read_model_folder(folder, {}, "net.")


def test_a_model_without_fp32_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_weights, "read_manifest", lambda _: Manifest("int8"))
    with pytest.raises(ConversionError, match="fp32"):
        read_model_folder(folder, {}, "net.")


def test_a_model_folder_has_a_manifest(tmp_path: Path) -> None:
    assert not is_model_folder(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert is_model_folder(tmp_path)
