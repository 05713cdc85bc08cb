"""``sightline-train stylize`` from its arguments to a model the service can load."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from service.contract import read_manifest
from service.tasks import stylize
from training.cli import main
from training.conversions import read_torch
from training.nets.style.adain import adain_network, slim_network
from training.nets.style.loading import begin
from training.tasks.stylize import publish, train

SMALL = [
    *("--network", "slim", "--side", "64", "--views", "1", "--samples", "4", "--pairs", "1"),
    *("--epochs", "1", "--warmup-epochs", "0", "--batch-size", "2", "--accelerator", "cpu"),
    *("--precision", "32-true", "--no-presets", "--style-side", "64"),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden pictures that are soon made."""
    monkeypatch.setattr(publish, "_GOLDEN", (32, 40))


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """The checkpoint of a full network that has been trained."""
    net = adain_network()
    for parameter in net.decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.01)
    path = tmp_path / "full.ckpt"
    torch.save({"networks": {"net": net.state_dict()}}, path)
    return path


@pytest.mark.usefixtures("small")
def test_a_training_becomes_a_model_of_the_service(
    photographs: Path,
    paintings: Path,
    full: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["stylize", "--content", str(photographs), "--styles", str(paintings), *SMALL]
    arguments += ["--weights", str(full)]
    arguments += ["--name", "brush", "--run", str(tmp_path / "r"), "--out", str(tmp_path / "m")]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert "11 photographs and 5 paintings to learn from" in told
    results = json.loads((tmp_path / "r/brush/results.json").read_text())
    assert results["best_epoch"] == 1
    assert results["test_loss"] > 0
    assert (tmp_path / "r/brush" / train.SHEET).exists()
    folder = tmp_path / "m/brush"
    manifest = read_manifest(folder)
    stylize.check(manifest, {})
    assert {metric.name for metric in manifest.metrics} == {
        "nearness",
        "content_loss",
        "style_loss",
    }
    nearness = next(metric for metric in manifest.metrics if metric.name == "nearness")
    assert nearness.value == pytest.approx(1 / results["test_loss"], rel=0.02)
    assert manifest.input.multiple == 1
    assert manifest.options == {"style_side": 64}
    card = (folder / "MODEL_CARD.md").read_text()
    assert "at half the size" in card
    assert str(tmp_path) not in card
    # What was shipped can be trained on, and is what was trained.
    net = slim_network()
    assert begin(net, str(folder)).sources == manifest.provenance.data
    (best,) = (tmp_path / "r/brush").glob("best.ckpt")
    for name, tensor in read_torch(best).items():
        assert net.state_dict()[name].equal(tensor.half().float()) or tensor.numel() < 1024, name
    # A second time nothing is trained again.
    assert main([*arguments, "--resume", "--no-export"]) == 0


def test_a_folder_of_photographs_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", *SMALL]) == 1
    assert "--content DIR" in capsys.readouterr().err


def test_a_picture_alone_is_too_few(
    paintings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.png").write_bytes((paintings / "000.png").read_bytes())
    (folder / "b.png").write_bytes(b"nothing")
    assert main(["stylize", "--content", str(folder), "--styles", str(paintings), *SMALL]) == 1
    told = capsys.readouterr().err
    assert "at least 2 photographs" in told
    assert "b.png" in told


def test_weights_are_rounded_before_codes_are_computed() -> None:
    torch.manual_seed(0)
    net = adain_network((4, 4, 8, 16)).eval()
    graphs = publish.graphs(
        net,
        contents=[np.zeros((32, 32, 3), np.uint8)],
        styles=[np.full((32, 32, 3), 99, np.uint8)],
    )
    assert set(graphs) == {"encode", "main"}
    main_graph = graphs["main"]
    assert [item["images"].shape for item in main_graph.checked] == [
        (32, 32, 3),
        (96, 124, 3),
        (96, 124, 3),
    ]
    assert all(item["code"].dtype == np.float32 for item in main_graph.checked)
    assert len(main_graph.golden) == 2
