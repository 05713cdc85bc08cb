"""``sightline-train caption`` from its arguments to an export, or to one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from service.contract import Manifest, Metric
from training import running
from training.cli import main
from training.export import Report
from training.exportable import Exportable
from training.golden import golden_pictures
from training.tasks.caption import publish
from training.tasks.caption.train import ATTENTION, SHEET

SMALL = [
    *("--height", "64", "--width", "64", "--epochs", "1", "--warmup-epochs", "0"),
    *("--batch-size", "4", "--backbone", "mobilenet_v2", "--hidden", "16", "--min-count", "2"),
    *("--longest", "6", "--accelerator", "cpu"),
]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, models and the cache stay in the test's folder, and there is no registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_a_training_is_exported_and_told_of(
    told: Path,
    weights: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported: list[Exportable] = []

    def note(exportable: Exportable, models: Path, report: Report) -> tuple[Path, Manifest]:
        report("as good as exported")
        exported.append(exportable)
        metric = Metric(
            name="cider", value=0.25, dataset="things", split="test", variant="fp32", samples=6
        )
        made: Any = Manifest  # of which only these are told
        manifest = made.model_construct(graphs={"main": {"fp32": None}}, metrics=(metric,))
        return models / exportable.name, manifest

    monkeypatch.setattr(running, "export", note)
    monkeypatch.setattr(publish, "golden_candidates", lambda *size: [*golden_pictures(*size)])
    arguments = ["caption", "--data", str(told), "--name", "garden", "--weights", weights, *SMALL]
    assert main([*arguments, "--run", str(tmp_path / "r"), "--out", str(tmp_path / "m")]) == 0
    said = capsys.readouterr().err
    assert "8 pictures to train on, 4 held out, 6 to test;" in said
    assert "features of 8 pictures in 2 views: 100%" in said
    assert "epoch 1 of 1" in said
    assert "garden: as good as exported" in said
    assert f"{tmp_path / 'm/garden'}: fp32" in said
    assert "fp32 cider 0.2500" in said
    assert f"sightline serve --models {tmp_path / 'm'}" in said
    run = tmp_path / "r/garden"
    measured = json.loads((run / "results.json").read_text())
    assert measured["test_pictures"] == 6
    assert f"{measured['test']['3']['cider']:.3f}" in said
    for name in ("best.ckpt", "curves.png", SHEET, ATTENTION):
        assert (run / name).exists()
    [exportable] = exported
    assert exportable.name == "garden"
    assert exportable.command.startswith("sightline-train caption --data things --name garden")

    # What is there is neither overwritten nor begun again.
    arguments += ["--run", str(tmp_path / "r")]
    assert "r/garden holds a run already" in complaint_of(arguments, capsys)
    other = complaint_of([*arguments, "--resume", "--lr", "0.5"], capsys)
    assert "optimisation.lr was 0.001, is 0.5" in other
    assert json.loads((run / "results.json").read_text()) == measured


def complaint_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a command that fails."""
    capsys.readouterr()
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("sightline-train: ")
    return last


def test_what_is_wrong_is_said_in_one_line(
    told: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        return complaint_of(["caption", *SMALL, "--weights", weights, *options], capsys)

    data = ("--data", str(told))
    assert "--data DIR" in refused()
    assert "missing is not a folder" in refused("--data", "missing")
    (tmp_path / "empty").mkdir()
    assert "captions.csv" in refused("--data", "empty")
    assert "unet cannot be a backbone; these can: " in refused(*data, "--backbone", "unet")
    assert "does not fit" in refused(*data, "--backbone", "efficientnet_lite0")
    assert "9 stages to tune, not 10" in refused(*data, "--tuned-stages", "10")
    assert "words in the captions is there 50 times" in refused(*data, "--min-count", "50")
    (tmp_path / "text.pth").write_text("not weights")
    assert "cannot be read as PyTorch weights" in refused(*data, "--weights", "text.pth")
    torch.save({"features.x": torch.ones(1)}, tmp_path / "other.pth")
    assert "other.pth does not fit" in refused(*data, "--weights", "other.pth")
    default = "efficientnet-lite2-imagenet"
    assert "efficientnet_lite2" in refused(*data, "--weights", default)
    assert not list((tmp_path / "runs").glob("*/*.ckpt"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--height", "16"], "--height must be 32 or more, not 16"),
        (["--beams", "99"], "--beams must be 1 to 20"),
        (["--longest", "0"], "--longest must be 1 to 100"),
        (["--epochs", "2", "--self-critical-epochs", "2"], "--self-critical-epochs must be 0 to 1"),
        (["--network", "transformer"], "transformer"),
        (["--surprise"], "--surprise"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["caption", "--data", "anything", *options])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    text = " ".join((captured.out + captured.err).replace("│", " ").split())
    assert complaint in text
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ["caption", "flickr8k", "flickr8k-nic"])
def test_each_command_explains_its_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--data", "--tuned-stages", "--self-critical-epochs"))
