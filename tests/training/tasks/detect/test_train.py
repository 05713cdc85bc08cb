"""Whole trainings in small: at once, interrupted, and with what does not go together."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from training.data.errors import DataError
from training.errors import StoppedError
from training.nets.architecture import ArchitectureError
from training.nets.detection.architectures import build
from training.optimisation import Optimisation
from training.run import RunError
from training.settings import Training
from training.tasks.detect.config import Detect
from training.tasks.detect.recipe import DetectRecipe
from training.tasks.detect.train import CURVES, SHEET, WORST, Results, train
from training.weights import WeightsError

SMALL = Detect(
    name="shapes",
    size=64,
    weights=None,
    frozen_stages=0,
    optimisation=Optimisation(batch_size=4, lr=1e-3),
    training=Training(epochs=2, warmup_epochs=0.5, ema=0.5),
)


def interrupt(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Stop the next training when it comes to an epoch."""

    def begin_epoch(self: DetectRecipe, number: int) -> None:
        if number == epoch:
            monkeypatch.setattr(DetectRecipe, "begin_epoch", lambda *_: None)
            raise StoppedError("stopped by the test")

    monkeypatch.setattr(DetectRecipe, "begin_epoch", begin_epoch)


@pytest.fixture(scope="module")
def trained(boxes: Path, fabric: Fabric, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs of a training that was not interrupted."""
    run = tmp_path_factory.mktemp("runs")
    train(replace(SMALL, data=boxes, run=run), fabric)
    return run


def again(boxes: Path, run: Path, fabric: Fabric) -> Results:
    """The results of a training that is done."""
    return train(replace(SMALL, data=boxes, run=run, resume=True), fabric)


def test_a_training_that_stops_and_goes_on_gives_the_same_weights(
    boxes: Path,
    trained: Path,
    fabric: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(SMALL, data=boxes, run=tmp_path)
    interrupt(monkeypatch, epoch=1)
    with pytest.raises(StoppedError):
        train(config, fabric)
    with pytest.raises(RunError, match="--resume"):
        train(config, fabric)
    resumed = train(replace(config, resume=True), fabric)
    at_once = again(boxes, trained, fabric)
    states = (resumed.module.state_dict(), at_once.module.state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)
    last = [
        torch.load(run / "shapes/last.ckpt", weights_only=True)["networks"]["net"]
        for run in (tmp_path, trained)
    ]
    torch.testing.assert_close(*last, rtol=0, atol=0)
    ends = [dict(results.figures()) for results in (resumed, at_once)]
    assert all(end.pop("seconds") > 0 for end in ends)
    assert ends[0] == ends[1]


def test_a_run_leaves_what_there_is_to_look_at(boxes: Path, trained: Path, fabric: Fabric) -> None:
    folder = trained / "shapes"
    names = {path.name for path in folder.iterdir()}
    plots = {SHEET, CURVES, WORST, "curves.png"}
    assert plots | {"best.ckpt", "config.json", "history.jsonl", "last.ckpt"} <= names
    for name in plots:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 100
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    held_out = [line for line in lines if line["split"] == "held_out"]
    assert [line["epoch"] for line in held_out] == [1, 2]
    assert all("map50" in line for line in held_out)

    results = again(boxes, trained, fabric)
    figures = results.figures()
    assert figures["train_pictures"] == 8
    assert figures["test_pictures"] == 6
    assert figures["classes"].keys() == {"disc", "square"}
    assert sum(one["objects"] for one in figures["classes"].values()) == 18
    assert figures["test_map50"] == results.quality.map50
    assert 0 <= figures["test_map50"] <= 1
    assert figures["best_epoch"] in (1, 2)
    assert math.isfinite(figures["held_out_map50"])
    assert results.begun is None
    assert not results.module.training
    config = json.loads((folder / "config.json").read_text())
    assert "shapes" in json.dumps(config)
    assert str(boxes.parent) not in json.dumps(config)


def test_a_run_is_not_gone_on_with_under_other_settings(
    boxes: Path, trained: Path, fabric: Fabric
) -> None:
    config = replace(SMALL, data=boxes, run=trained, resume=True)
    with pytest.raises(RunError, match=r"optimisation\.lr was 0\.001, is 0\.5"):
        train(replace(config, optimisation=Optimisation(batch_size=4, lr=0.5)), fabric)
    with pytest.raises(RunError, match="size was 64, is 96"):
        train(replace(config, size=96), fabric)


def test_a_detector_goes_on_from_another_runs_best_and_keeps_its_first_stages(
    boxes: Path, trained: Path, fabric: Fabric, tmp_path: Path
) -> None:
    best = trained / "shapes/best.ckpt"
    config = replace(
        SMALL,
        data=boxes,
        classes=("square",),
        run=tmp_path,
        weights=str(best),
        frozen_stages=3,
        training=Training(epochs=1, warmup_epochs=0),
    )
    results = train(config, fabric)
    given = torch.load(best, weights_only=True)["networks"]["net"]
    net = results.module.detector.state_dict()
    moved = {name for name in given if given[name].shape != net[name].shape}
    assert all(name.startswith("roi_heads.box_predictor.") for name in moved)
    frozen = "backbone.body._blocks.2._project_conv.weight"
    assert net[frozen].equal(given[frozen])
    learned = "backbone.body._blocks.15._project_conv.weight"
    assert not net[learned].equal(given[learned])
    assert results.begun is not None
    assert results.begun.name == "best.ckpt"
    assert results.gathered.classes == ("square",)


def test_what_does_not_go_together_is_said(boxes: Path, fabric: Fabric, tmp_path: Path) -> None:
    config = replace(SMALL, data=boxes, run=tmp_path / "runs")
    with pytest.raises(ArchitectureError, match="no detector resnet19-fpn"):
        train(replace(config, architecture="resnet19-fpn"), fabric)
    with pytest.raises(DataError, match="--data DIR"):
        train(replace(config, data=None), fabric)
    other = tmp_path / "other.pth"
    torch.save(build("efficientnet_lite1-fpn", 2).state_dict(), other)
    with pytest.raises(WeightsError, match="does not fit the detector"):
        train(replace(config, weights=str(other)), fabric)
    torch.save(build("efficientnet_lite0-fpn", 2).state_dict(), other)
    with pytest.raises(ArchitectureError, match="has 8 stages to freeze, not 9"):
        train(replace(config, weights=str(other), frozen_stages=9), fabric)
    assert not list((tmp_path / "runs").glob("*/*.ckpt"))
