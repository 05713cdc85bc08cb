"""Whole trainings in small: at once, interrupted, and with what does not go together."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from tests.training.box_sets import draw, voc_object, write_voc, write_voc_picture
from training import faults
from training.data.errors import DataError
from training.devices import Devices, launch
from training.errors import StoppedError
from training.nets.architecture import ArchitectureError
from training.nets.detection import loading
from training.nets.detection.architectures import build
from training.optimisation import Optimisation
from training.recipe import Part
from training.run import RunError
from training.settings import Training
from training.tasks.detect import figures
from training.tasks.detect import train as trainings
from training.tasks.detect.config import Detect
from training.tasks.detect.metrics import Detections
from training.tasks.detect.predict import predict
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
    assert faults.FILE not in names
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


def test_weights_are_those_of_the_architecture(
    boxes: Path, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, weights="efficientnet-lite0-imagenet", run=tmp_path)
    with pytest.raises(WeightsError, match="name others with --weights"):  # no picture is read
        train(replace(config, architecture="resnet50-fpn", data=tmp_path / "missing"), fabric)
    asked: list[str] = []

    def load(net: Any, architecture: Any, locator: str, downloads: Path | None) -> None:
        asked.append(locator)
        raise WeightsError("none are fetched here")

    monkeypatch.setattr(loading, "load", load)
    for name in ("efficientnet_lite0-fpn", "efficientnet_lite2-fpn"):
        with pytest.raises(WeightsError, match="none are fetched"):
            train(replace(config, architecture=name, data=boxes), fabric)
    assert asked == ["efficientnet-lite0-imagenet", "efficientnet-lite2-imagenet"]


def test_classes_without_test_objects_have_no_figures(
    fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_voc(tmp_path / "set", {"train": 4, "val": 2, "test": 1}, shapes=1)
    shown: list[float] = []
    monkeypatch.setattr(figures, "worst", lambda *_, threshold: shown.append(threshold))
    once = Training(epochs=1, warmup_epochs=0)
    config = replace(SMALL, data=folder, run=tmp_path, training=once, threshold=0.7)
    results = train(config, fabric)
    written = json.loads(json.dumps(results.figures(), allow_nan=False))
    assert math.isnan(results.quality.average_precision50[1])
    assert written["classes"]["square"] == {"objects": 0, "ap50": None, "ap": None}
    assert written["classes"]["disc"]["objects"] == 1
    assert 0 <= written["classes"]["disc"]["ap50"] <= 1
    assert written["test_map50"] == results.quality.map50
    assert shown == [0.7]


def test_all_faults_are_written_where_not_all_are_told(fabric: Fabric, tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "set", {"train": 4, "val": 2, "test": 2})
    bad = [voc_object("disc", (5, 5, 5 - each, 9)) for each in range(25)]
    write_voc_picture(folder, "0007", draw(7).picture, [*bad, voc_object("disc", (1, 1, 9, 9))])
    told: list[str] = []
    once = Training(epochs=1, warmup_epochs=0)
    config = replace(SMALL, data=folder, run=tmp_path / "runs", training=once)
    path = tmp_path / "runs/shapes" / faults.FILE
    train(config, fabric, told.append)
    written = path.read_text().splitlines()
    assert len(written) == 25
    assert [line for line in told if "0007.xml" in line] == written[:20]
    assert f"and 5 more objects or pictures like these; all are in {path}" in told

    # A folder that another run has is not written into; going on writes it again.
    path.write_text("another run's")
    with pytest.raises(RunError, match="--resume"):
        train(config, fabric, told.append)
    assert told[-2] == "and 5 more objects or pictures like these"
    assert path.read_text() == "another run's"
    train(replace(config, resume=True), fabric)
    assert path.read_text().splitlines() == written


def test_processes_measure_a_part_each_and_the_first_draws_the_intervals(
    boxes: Path, trained: Path, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = again(boxes, trained, fabric)
    truths = results.gathered.test.boxed
    # What is found is what is there, in all pictures but two.
    found = [
        Detections(item.boxes, np.full(len(item.labels), 0.9), item.labels ^ int(at in (1, 4)))
        for at, item in enumerate(truths.items)
    ]
    parts: list[Part] = []

    def pretend(module: Any, pictures: Any, threshold: float, part: Part) -> list[Detections]:
        parts.append(part)
        return found[part.rank :: part.world]

    def gather(everything: list[Any], mine: list[Detections]) -> None:
        everything[:] = [found[rank::2] for rank in range(2)]

    monkeypatch.setattr(trainings, "predict", pretend)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    qualities = []
    for rank in range(2):
        config = replace(SMALL, data=boxes, run=tmp_path / str(rank))
        (tmp_path / str(rank) / "shapes").mkdir(parents=True)
        one: Any = SimpleNamespace(global_rank=rank, world_size=2, is_global_zero=rank == 0)
        qualities.append(trainings._measured(config, results.module, results.gathered, one))
    assert parts == [Part(0, 2), Part(1, 2)]
    first, second = qualities
    assert first.map50 == second.map50
    assert 0.3 < first.map50 < 1
    assert first.pictures == second.pictures == 6
    assert not any(map(math.isnan, first.map50_interval))
    assert all(map(math.isnan, second.map50_interval))
    assert (tmp_path / "0/shapes" / CURVES).exists()
    assert not list((tmp_path / "1/shapes").iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_test_pictures_are_measured_where_training_was(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def note(module: torch.nn.Module, *others: Any) -> list[Detections]:
        seen.append(next(module.parameters()).device.type)
        return predict(module, *others)

    monkeypatch.setattr(trainings, "predict", note)
    results = train(replace(SMALL, data=boxes, run=tmp_path), launch(Devices(accelerator="cuda")))
    assert seen == ["cuda"]
    assert {tensor.device.type for tensor in results.module.state_dict().values()} == {"cpu"}
