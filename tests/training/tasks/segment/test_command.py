"""``sightline-train segment`` from its arguments to an export, or to one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from service.contract import Manifest, Metric
from tests.training.mask_sets import write_lists, write_masks
from training import running
from training.cli import main
from training.export import Report
from training.exportable import Exportable
from training.golden import golden_pictures
from training.tasks.segment import publish
from training.tasks.segment.train import CONFUSION, MASKS, SHEET

SMALL = [
    *("--height", "64", "--width", "64", "--epochs", "1", "--warmup-epochs", "0"),
    *("--batch-size", "4", "--architecture", "fcn8s-efficientnet_lite0"),
    *("--weights", "None", "--accelerator", "cpu"),
]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, models and the cache stay in the test's folder, and there is no registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_a_training_is_exported_and_told_of(
    masks: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported: list[Exportable] = []

    def note(exportable: Exportable, models: Path, report: Report) -> tuple[Path, Manifest]:
        report("as good as exported")
        exported.append(exportable)
        metric = Metric(
            name="miou", value=0.25, dataset="shapes", split="test", variant="fp32", samples=6
        )
        made: Any = Manifest  # of which only these are told
        manifest = made.model_construct(graphs={"main": {"fp32": None}}, metrics=(metric,))
        return models / exportable.name, manifest

    monkeypatch.setattr(running, "export", note)
    monkeypatch.setattr(publish, "golden_candidates", lambda *size: [*golden_pictures(*size)])
    arguments = ["segment", "--data", str(masks), "--name", "roofs", *SMALL]
    assert main([*arguments, "--run", str(tmp_path / "r"), "--out", str(tmp_path / "m")]) == 0
    told = capsys.readouterr().err
    assert "8 pictures to train on, 4 held out, 6 to test; 3 classes" in told
    assert "epoch 1 of 1" in told
    assert "roofs: as good as exported" in told
    assert f"{tmp_path / 'm/roofs'}: fp32" in told
    assert "fp32 miou 0.2500" in told
    assert f"sightline serve --models {tmp_path / 'm'}" in told
    run = tmp_path / "r/roofs"
    measured = json.loads((run / "results.json").read_text())
    assert measured["test_pictures"] == 6
    assert f"{measured['test_miou']:.3f} (" in told
    for name in ("best.ckpt", "curves.png", CONFUSION, MASKS, SHEET):
        assert (run / name).exists()
    [exportable] = exported
    assert exportable.name == "roofs"
    assert exportable.command.startswith("sightline-train segment --data shapes --name roofs")

    # What is there is neither overwritten nor begun again.
    arguments += ["--run", str(tmp_path / "r")]
    assert "r/roofs holds a run already" in complaint_of(arguments, capsys)
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
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        return complaint_of(["segment", *SMALL, *options], capsys)

    data = ("--data", str(masks))
    assert "--data DIR" in refused()
    assert "missing is not a folder" in refused("--data", "missing")
    (tmp_path / "empty").mkdir()
    assert "empty has no masks in a form that is read" in refused("--data", "empty")
    assert "there is no segmentation network unet" in refused(*data, "--architecture", "unet")
    (tmp_path / "text.pth").write_text("not weights")
    assert "cannot be read as PyTorch weights" in refused(*data, "--weights", "text.pth")
    torch.save({"body.x": torch.ones(1)}, tmp_path / "other.pth")
    assert "other.pth does not fit the network" in refused(*data, "--weights", "other.pth")
    default = ("--weights", "efficientnet-lite2-imagenet")
    needed = "torchvision:FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"
    assert needed in refused(*data, *default, "--architecture", "fcn-resnet50")
    write_masks(tmp_path / "set", 4)
    (tmp_path / "set/labels.txt").unlink()
    assert "labels.txt cannot be read" in refused("--data", "set")


def test_damaged_pictures_are_named_and_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_masks(tmp_path / "set", 8)
    lists = {"train": range(4), "val": range(4, 6), "test": range(6, 8)}
    write_lists(folder, {part: [f"{seed:04}" for seed in seeds] for part, seeds in lists.items()})
    for name in ("images/0001.png", "masks/0002.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
    assert main(["segment", "--data", "set", *SMALL, "--no-export"]) == 0
    told = capsys.readouterr().err
    assert "images/0001.png" in told
    assert "masks/0002.png" in told
    assert "2 pictures to train on" in told
    assert (tmp_path / "runs/segmenter/results.json").exists()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--height", "16"], "--height must be 32 or more, not 16"),
        (["--held-out", "1"], "--held-out must be between 0 and 1"),
        (["--class-weights", "2"], "--class-weights must be from 0 to 1"),
        (["--balance", "2"], "--balance must be from 0 to 1"),
        (["--scale-min", "3"], "--scale-min must be no more than --scale-max"),
        (["--crop-height", "0"], "--crop-height must be from 1 to 4096"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--weights", "None", "--frozen-stages", "1"], "keeps published weights"),
        (["--weights", "None", "--keep-statistics"], "--keep-statistics needs --weights"),
        (["--name", "My roofs"], "--name must be small letters"),
        (["--dataset", "coco"], "coco"),
        (["--surprise"], "--surprise"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["segment", "--data", "anything", *options])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    text = " ".join((captured.out + captured.err).replace("│", " ").split())
    assert complaint in text
    assert "Traceback" not in text
