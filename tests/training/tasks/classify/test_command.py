"""``sightline-train`` from its arguments to a model the service accepts, or to one line."""

import json
from pathlib import Path

import pytest
import torch

from service import cli as service_cli
from service.contract import read_manifest
from tests.training.tasks.classify.tiny_sets import write_folder
from training.cli import main
from training.nets.architectures import build

SMALL = [
    *("--epochs", "1", "--warmup-epochs", "0", "--batch-size", "16", "--held-out", "0.25"),
    *("--architecture", "convnet", "--accelerator", "cpu"),
]
RANDOM = ["--weights", "None", "--freeze-epochs", "0"]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, models and the cache stay in the test's folder, and there is no registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_a_recipe_of_the_literature_becomes_a_model_the_service_accepts(
    sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["mnist", "--data", str(sets["mnist"]), *SMALL, "--seeds", "2"]
    assert main([*arguments, "--run", str(tmp_path / "r"), "--out", str(tmp_path / "m")]) == 0
    told = capsys.readouterr().err
    assert "epoch 1 of 1" in told
    assert "fp32 top1 0." in told
    run = tmp_path / "r/mnist"
    figures = json.loads((run / "results.json").read_text())
    assert set(figures["seeds"]) == {"0", "1"}
    assert f"{figures['mean_test_top1']:.4f}" in told
    assert (run / "seed-1/best.ckpt").exists()
    assert (run / "seed-1/augmentation.png").exists()
    manifest = read_manifest(tmp_path / "m/mnist")
    assert manifest.labels == tuple("0123456789")
    assert str(tmp_path) not in manifest.model_dump_json()
    assert str(tmp_path) not in (tmp_path / "m/mnist/MODEL_CARD.md").read_text()
    assert str(sets["mnist"].parent) not in manifest.model_dump_json()
    chosen = max(figures["seeds"].values(), key=lambda one: one["held_out_top1"])
    [top1] = [metric.value for metric in manifest.metrics if metric.name == "top1"]
    assert top1 == pytest.approx(chosen["test_top1"], abs=1e-6)

    assert service_cli.main(["models", "check", "--models", str(tmp_path / "m")]) == 0
    assert "ok      mnist fp32" in capsys.readouterr().out


def test_a_run_is_neither_overwritten_nor_begun_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["classify", "--data", str(folder), "--size", "32", *SMALL, *RANDOM, "--no-export"]
    assert main(arguments) == 0
    assert not (tmp_path / "models").exists()
    results = json.loads((tmp_path / "runs/classifier/results.json").read_text())
    capsys.readouterr()
    assert main(arguments) == 1
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert "runs/classifier holds a run already" in complaint
    assert "--resume" in complaint
    assert main([*arguments, "--resume"]) == 0
    again = json.loads((tmp_path / "runs/classifier/results.json").read_text())
    assert again == results
    capsys.readouterr()
    assert main([*arguments, "--resume", "--lr", "0.5"]) == 1
    assert "optimisation.lr was 0.002, is 0.5" in capsys.readouterr().err


def complaint_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a command that fails."""
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    last = told.splitlines()[-1]
    assert last.startswith("sightline-train: ")
    return last


def test_what_is_wrong_with_the_data_is_said_in_one_line(
    folder: Path, sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [*SMALL, *RANDOM]
    assert "--data DIR" in complaint_of(["classify", *small], capsys)
    missing = ["classify", "--data", "missing", *small]
    assert "missing is not a folder" in complaint_of(missing, capsys)
    write_folder(tmp_path / "set", 2)
    for label in ("cat", "coffee"):
        (tmp_path / "set" / label).rename(tmp_path / label)
    alone = ["classify", "--data", "set", *small]
    assert "set has one class, 'rocket'" in complaint_of(alone, capsys)
    (tmp_path / "cat").rename(tmp_path / "set/cat")
    for path in (tmp_path / "set/cat").iterdir():
        path.write_bytes(b"no picture")
    assert "no picture of cat can be read" in complaint_of(alone, capsys)
    other = ["cifar10-resnet18", "--data", str(sets["mnist"]), *SMALL]
    assert "does not hold all of data_batch_1" in complaint_of(other, capsys)


def test_what_is_wrong_with_the_network_is_said_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        common = ("classify", "--data", str(folder), "--epochs", "1", "--accelerator", "cpu")
        return complaint_of([*common, *options], capsys)

    assert "there is no network vgg99" in refused("--architecture", "vgg99", *RANDOM)
    assert "does not tell its architecture" in refused("--weights", "mobilenet")
    mismatch = refused("--architecture", "resnet50")  # the preset's weights are another's
    assert "is of efficientnet_lite0, not of resnet50" in mismatch
    torch.save(build("resnet18", 5).state_dict(), "resnet18.pth")
    other = refused("--weights", "resnet18.pth", "--architecture", "resnet34", "--size", "32")
    assert "does not fit this resnet34; missing: layer1.2" in other
    (tmp_path / "text.pth").write_text("not weights")
    text = refused("--weights", "text.pth", "--architecture", "resnet18", "--size", "32")
    assert "text.pth cannot be read as PyTorch weights" in text


def test_damaged_pictures_are_named_and_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "set", 6)
    (tmp_path / "set/cat/3.png").write_bytes(b"\x89PNG no more")
    small = [*SMALL, *RANDOM, "--size", "32", "--no-export"]
    assert main(["classify", "--data", "set", *small]) == 0
    assert "left out set/cat/3.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--held-out", "1"], "--held-out must be between 0 and 1"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--crop-area", "0"], "--crop-area must be from 0.01 to 1"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--weights", "None"], "--freeze-epochs 2 keeps published weights"),
        (["--name", "My pets"], "--name must be small letters"),
        (["--optimizer", "lion"], "lion"),
        (["--surprise"], "--surprise"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["classify", "--data", "anything", *options])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    text = " ".join((captured.out + captured.err).replace("│", " ").split())
    assert complaint in text
    assert "Traceback" not in text
