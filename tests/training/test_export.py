"""A tiny network from PyTorch to a folder the service loads."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from service.contract import Manifest, read_manifest
from service.device import Device
from service.golden import read_golden, replay
from service.loading import read_assets
from service.session import Session, open_session
from service.tasks import classify
from training.export import export
from training.exportable import Asset, Score
from training.parity import ParityError


def evaluate(sessions: Mapping[str, Session]) -> Sequence[Score]:
    assert list(sessions) == ["main"]
    return [Score("top1", 0.5, "noise", "all", 3)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class OffByABit(nn.Module):
    """Computes one thing when it is exported and another when it is compared."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(images)
        return logits if torch.compiler.is_compiling() else logits + 1e-3


@pytest.fixture(scope="module")
def exported(make_tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """The tiny model, for tests that only look at it."""
    models = tmp_path_factory.mktemp("exported") / "models"
    return export(make_tiny().exportable(evaluate=evaluate), models)


def test_a_folder_the_service_can_use(exported: tuple[Path, Manifest]) -> None:
    folder, manifest = exported
    assert read_manifest(folder) == manifest
    classify.check(manifest, {})
    assert manifest.precisions == ("fp32", "fp16", "int8")
    assert sorted(contents(folder)) == [
        "1/model.fp16.onnx",
        "1/model.int8.onnx",
        "1/model.onnx",
        "MODEL_CARD.md",
        "golden.npz",
        "manifest.json",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    assert {m.variant: m.value for m in manifest.metrics} == dict.fromkeys(manifest.precisions, 0.5)
    assert 0 <= manifest.graphs["main"]["fp32"].parity.measured <= 1e-4


def test_golden_outputs_replay(exported: tuple[Path, Manifest]) -> None:
    folder, manifest = exported
    golden = read_golden(folder / "golden.npz")
    assert golden["main.input.images"].shape == (2, 32, 32, 3)
    for precision, variant in manifest.graphs["main"].items():
        session = open_session(folder / variant.file, variant, "graphs", Device("cpu", 1))
        assert replay(session, variant, "main", precision, golden) <= variant.parity.tolerance


def test_the_variants_stay_close(exported: tuple[Path, Manifest]) -> None:
    golden = read_golden(exported[0] / "golden.npz")
    spread = np.ptp(golden["main.fp32.logits"])
    for precision in ("fp16", "int8"):
        gap = np.abs(golden[f"main.{precision}.logits"] - golden["main.fp32.logits"]).max()
        assert 0 < gap < 0.05 * spread


def test_the_same_module_gives_the_same_bytes(
    tiny: Any, exported: tuple[Path, Manifest], tmp_path: Path
) -> None:
    steps: list[str] = []
    again, _ = export(tiny.exportable(evaluate=evaluate), tmp_path, steps.append)
    assert contents(again) == contents(exported[0])
    assert len(steps) >= 5


def test_files_name_no_place_on_this_machine(exported: tuple[Path, Manifest]) -> None:
    for name, content in contents(exported[0]).items():
        assert str(Path.home()).encode() not in content, name
        assert b".py" not in content, name


@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "a model before"])
def test_a_failed_parity_writes_nothing(tiny: Any, tmp_path: Path, before: bool) -> None:
    if before:
        export(tiny.exportable(precisions=("fp32",)), tmp_path)
    existing = contents(tmp_path)
    with pytest.raises(ParityError, match=r"main.fp32: 0.001.* tolerance 0.0001"):
        export(tiny.exportable(module=OffByABit(tiny.graph.module)), tmp_path)
    assert contents(tmp_path) == existing


def test_a_different_answer_is_a_failed_parity(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="answer differs"):
        export(tiny.exportable(same=lambda *_: False), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_figures_stay_with_unchanged_files_only(
    tiny: Any, exported: tuple[Path, Manifest], tmp_path: Path
) -> None:
    shutil.copytree(exported[0], tmp_path / "tiny")
    _, again = export(tiny.exportable(), tmp_path)
    assert again.metrics == exported[1].metrics

    fewer = tiny.graph.calibration[:1]
    folder, other = export(tiny.exportable(calibration=fewer), tmp_path)
    assert {metric.variant for metric in other.metrics} == {"fp32", "fp16"}
    assert "int8: not measured since" in (folder / "MODEL_CARD.md").read_text()


def test_assets_are_files_of_the_version(tiny: Any, tmp_path: Path) -> None:
    assets = {"vocabulary": Asset("words.txt", b"a\nb\n"), "other": Asset("table.bin", b"\x00")}
    made = tiny.exportable(precisions=("fp32",), assets=assets)
    folder, manifest = export(made, tmp_path)
    assert {name: ref.file for name, ref in manifest.assets.items()} == {
        "vocabulary": "1/words.txt",
        "other": "1/table.bin",
    }
    assert read_assets(folder, manifest) == {n: asset.content for n, asset in assets.items()}
    assert manifest.assets["other"].sha256 == hashlib.sha256(b"\x00").hexdigest()


def test_figures_do_not_stay_with_another_asset(tiny: Any, tmp_path: Path) -> None:
    def again(content: bytes, **changes: Any) -> Manifest:
        asset = {"vocabulary": Asset("words.txt", content)}
        return export(tiny.exportable(precisions=("fp32",), assets=asset, **changes), tmp_path)[1]

    measured = again(b"a", evaluate=evaluate)
    assert measured.metrics
    assert again(b"a").metrics == measured.metrics
    assert again(b"b").metrics == ()


class Cut(nn.Module):
    """Logits of which those from ``most`` on are none."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(images)
        return logits * (torch.arange(logits.shape[1]) < most[:, None])


def test_a_graph_may_take_a_number_with_each_picture(tiny: Any, tmp_path: Path) -> None:
    def with_numbers(items: Sequence[Any]) -> list[dict[str, Any]]:
        return [item | {"most": np.array(at % 4, np.int32)} for at, item in enumerate(items)]

    made = tiny.exportable(
        module=Cut(tiny.graph.module),
        example=tiny.graph.example | {"most": torch.tensor([1, 2], dtype=torch.int32)},
        golden=with_numbers(tiny.graph.golden),
        checked=with_numbers(tiny.graph.checked),
        calibration=with_numbers(tiny.graph.calibration),
    )
    folder, manifest = export(made, tmp_path)
    variants = manifest.graphs["main"]
    assert list(variants) == ["fp32", "fp16", "int8"]
    golden = read_golden(folder / "golden.npz")
    assert golden["main.input.most"].tolist() == [0, 1]
    for precision, variant in variants.items():
        specs = [(spec.name, spec.dtype, spec.shape) for spec in variant.inputs]
        assert specs[1] == ("most", "int32", ("N",))
        session = open_session(folder / variant.file, variant, "graphs", Device("cpu", 1))
        assert replay(session, variant, "main", precision, golden) <= variant.parity.tolerance
        answers = session.run(made.graphs["main"].checked)
        for answer, item in zip(answers, made.graphs["main"].checked, strict=True):
            assert np.count_nonzero(answer["logits"]) == int(item["most"])


def test_nothing_measured_is_said(tiny: Any, tmp_path: Path) -> None:
    folder, manifest = export(tiny.exportable(precisions=("fp32",)), tmp_path)
    assert manifest.metrics == ()
    assert "Nothing was measured" in (folder / "MODEL_CARD.md").read_text()


def test_a_role_names_its_files(tiny: Any, tmp_path: Path) -> None:
    graphs = {"encoder": tiny.exportable(precisions=("fp32",)).graphs["main"]}
    folder, manifest = export(tiny.exportable(graphs=graphs), tmp_path)
    assert manifest.graphs["encoder"]["fp32"].file == "1/encoder.onnx"
    assert json.loads((folder / "manifest.json").read_text())["graphs"].keys() == {"encoder"}
    onnx.load(folder / "1/encoder.onnx")
