"""``sightline-train detect`` from its arguments to an export, or to one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from service.contract import Manifest, Metric
from tests.training.box_sets import write_voc
from training import running
from training.cli import main
from training.export import Report
from training.exportable import Exportable
from training.tasks.detect.train import CURVES, SHEET, WORST

SMALL = [
    *("--size", "64", "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "4"),
    *("--weights", "None", "--frozen-stages", "0", "--accelerator", "cpu"),
]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, models and the cache stay in the test's folder, and there is no registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_a_training_is_exported_and_told_of(
    boxes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported: list[Exportable] = []

    def note(exportable: Exportable, models: Path, report: Report) -> tuple[Path, Manifest]:
        report("as good as exported")
        exported.append(exportable)
        metric = Metric(
            name="map50", value=0.25, dataset="shapes", split="test", variant="fp32", samples=6
        )
        made: Any = Manifest  # of which only these are told
        manifest = made.model_construct(graphs={"main": {"fp32": None}}, metrics=(metric,))
        return models / exportable.name, manifest

    monkeypatch.setattr(running, "export", note)
    arguments = ["detect", "--data", str(boxes), "--name", "parts", *SMALL]
    assert main([*arguments, "--run", str(tmp_path / "r"), "--out", str(tmp_path / "m")]) == 0
    told = capsys.readouterr().err
    assert "8 pictures to train on, 4 held out, 6 to test; 2 classes" in told
    assert "epoch 1 of 1" in told
    assert "parts: as good as exported" in told
    assert f"{tmp_path / 'm/parts'}: fp32" in told
    assert "fp32 map50 0.2500" in told
    assert f"sightline serve --models {tmp_path / 'm'}" in told
    run = tmp_path / "r/parts"
    measured = json.loads((run / "results.json").read_text())
    assert measured["test_pictures"] == 6
    assert f"{measured['test_map50']:.3f} (" in told
    for name in ("best.ckpt", "curves.png", CURVES, SHEET, WORST):
        assert (run / name).exists()
    [exportable] = exported
    assert exportable.name == "parts"
    assert exportable.command.startswith("sightline-train detect --data shapes --name parts --size")

    # What is there is neither overwritten nor begun again.
    arguments += ["--run", str(tmp_path / "r")]
    assert "r/parts holds a run already" in complaint_of(arguments, capsys)
    other = complaint_of([*arguments, "--resume", "--lr", "0.5"], capsys)
    assert "optimisation.lr was 0.001, is 0.5" in other
    assert json.loads((run / "results.json").read_text()) == measured


def complaint_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a command that fails."""
    capsys.readouterr()
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    last = told.splitlines()[-1]
    assert last.startswith("sightline-train: ")
    return last


def test_what_is_wrong_is_said_in_one_line(
    boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        return complaint_of(["detect", *SMALL, *options], capsys)

    data = ("--data", str(boxes))
    assert "--data DIR" in refused()
    assert "missing is not a folder" in refused("--data", "missing")
    (tmp_path / "empty").mkdir()
    assert "empty has no boxes in a form that is read" in refused("--data", "empty")
    assert "no object called triangle" in refused(*data, "--classes", "triangle")
    assert "there is no detector yolo" in refused(*data, "--architecture", "yolo")
    (tmp_path / "text.pth").write_text("not weights")
    assert "cannot be read as PyTorch weights" in refused(*data, "--weights", "text.pth")
    torch.save({"roi_heads.x": torch.ones(1)}, tmp_path / "other.pth")
    assert "other.pth does not fit the detector" in refused(*data, "--weights", "other.pth")
    default = ("--weights", "efficientnet-lite0-imagenet")
    needed = "torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1"
    assert needed in refused(*data, *default, "--architecture", "resnet50-fpn")
    shutil.copytree(boxes, tmp_path / "kit")
    for name in ("train", "val"):
        (tmp_path / f"kit/ImageSets/Main/{name}.txt").unlink()
    assert "kit has no pictures to train on, only test" in refused("--data", "kit")


def test_damaged_pictures_are_named_and_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_voc(tmp_path / "set", {"train": 4, "val": 2, "test": 2})
    path = folder / "JPEGImages/0001.png"
    path.write_bytes(path.read_bytes()[:400])
    assert main(["detect", "--data", "set", *SMALL, "--no-export"]) == 0
    told = capsys.readouterr().err
    assert "0001.png" in told
    assert "3 pictures to train on" in told
    assert (tmp_path / "runs/detector/results.json").exists()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--size", "100"], "--size must be a multiple of 32, not 100"),
        (["--held-out", "1"], "--held-out must be between 0 and 1"),
        (["--threshold", "2"], "--threshold must be from 0.05 to 1"),
        (["--scale-min", "3"], "--scale-min must be from 0.1 to 2"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--weights", "None"], "keeps published weights"),
        (["--name", "My parts"], "--name must be small letters"),
        (["--dataset", "coco"], "coco"),
        (["--surprise"], "--surprise"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["detect", "--data", "anything", *options])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    text = " ".join((captured.out + captured.err).replace("│", " ").split())
    assert complaint in text
    assert "Traceback" not in text
