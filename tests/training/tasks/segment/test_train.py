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
from numpy.typing import NDArray
from PIL import Image

from tests.training.mask_sets import CLASSES, draw, write_lists, write_mask, write_masks
from training import faults
from training.data.errors import DataError
from training.devices import Devices, launch
from training.errors import StoppedError
from training.nets.architecture import ArchitectureError
from training.nets.segmentation import loading
from training.nets.segmentation.architectures import build
from training.nets.stages import FrozenBatchNorm2d
from training.optimisation import Optimisation
from training.recipe import Part
from training.run import RunError
from training.settings import Training
from training.tasks.segment import train as trainings
from training.tasks.segment.config import Segment
from training.tasks.segment.metrics import confusion
from training.tasks.segment.predict import confusions
from training.tasks.segment.recipe import SegmentRecipe
from training.tasks.segment.train import CONFUSION, MASKS, SHEET, Results, train
from training.weights import WeightsError

SMALL = Segment(
    name="shapes",
    architecture="fcn8s-efficientnet_lite0",
    height=64,
    width=64,
    weights=None,
    balance=0.5,
    optimisation=Optimisation(batch_size=4, lr=1e-3),
    training=Training(epochs=2, warmup_epochs=0.5, ema=0.5),
)
ONCE = Training(epochs=1, warmup_epochs=0)


def interrupt(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Stop the next training when it comes to an epoch."""

    def begin_epoch(self: SegmentRecipe, number: int) -> None:
        if number == epoch:
            monkeypatch.setattr(SegmentRecipe, "begin_epoch", lambda *_: None)
            raise StoppedError("stopped by the test")

    monkeypatch.setattr(SegmentRecipe, "begin_epoch", begin_epoch)


@pytest.fixture(scope="module")
def trained(masks: Path, fabric: Fabric, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs of a training that was not interrupted."""
    run = tmp_path_factory.mktemp("runs")
    train(replace(SMALL, data=masks, run=run), fabric)
    return run


@pytest.fixture(scope="module")
def done(masks: Path, trained: Path, fabric: Fabric) -> Results:
    """Its results, as going on gives them."""
    return train(replace(SMALL, data=masks, run=trained, resume=True), fabric)


def test_a_training_that_stops_and_goes_on_gives_the_same_weights(
    masks: Path,
    trained: Path,
    done: Results,
    fabric: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(SMALL, data=masks, run=tmp_path)
    interrupt(monkeypatch, epoch=1)
    with pytest.raises(StoppedError):
        train(config, fabric)
    with pytest.raises(RunError, match="--resume"):
        train(config, fabric)
    resumed = train(replace(config, resume=True), fabric)
    states = (resumed.module.state_dict(), done.module.state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)
    last = [
        torch.load(run / "shapes/last.ckpt", weights_only=True)["networks"]["net"]
        for run in (tmp_path, trained)
    ]
    torch.testing.assert_close(*last, rtol=0, atol=0)
    ends = [dict(results.figures()) for results in (resumed, done)]
    assert all(end.pop("seconds") > 0 for end in ends)
    assert ends[0] == ends[1]


def test_a_run_leaves_what_there_is_to_look_at(masks: Path, trained: Path, done: Results) -> None:
    folder = trained / "shapes"
    names = {path.name for path in folder.iterdir()}
    plots = {SHEET, CONFUSION, MASKS, "curves.png"}
    assert faults.FILE not in names
    assert plots | {"best.ckpt", "config.json", "history.jsonl", "last.ckpt"} <= names
    for name in plots:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 100
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    held_out = [line for line in lines if line["split"] == "held_out"]
    assert [line["epoch"] for line in held_out] == [1, 2]
    assert all({"miou", "pixel_accuracy"} <= line.keys() for line in held_out)
    assert all({"pixels", "auxiliary"} <= line.keys() for line in lines if line not in held_out)

    figures = done.figures()
    assert figures["train_pictures"] == 8
    assert figures["test_pictures"] == 6
    assert tuple(figures["classes"]) == CLASSES
    known = sum(int(each.sum()) for each in confusions(done.module, done.gathered.test))
    assert sum(one["pixels"] for one in figures["classes"].values()) == known
    assert known < 6 * 72 * 96
    assert figures["test_miou"] == done.quality.miou
    low, high = figures["test_miou_interval"]
    assert 0 <= low <= figures["test_miou"] <= high <= 1
    assert figures["best_epoch"] in (1, 2)
    assert math.isfinite(figures["held_out_miou"])
    assert done.begun is None
    assert not done.module.training
    config = (folder / "config.json").read_text()
    assert "shapes" in config
    assert str(masks.parent) not in config


def test_a_run_is_not_gone_on_with_under_other_settings(
    masks: Path, trained: Path, fabric: Fabric
) -> None:
    config = replace(SMALL, data=masks, run=trained, resume=True)
    with pytest.raises(RunError, match=r"optimisation\.lr was 0\.001, is 0\.5"):
        train(replace(config, optimisation=Optimisation(batch_size=4, lr=0.5)), fabric)
    with pytest.raises(RunError, match=r"class_weights was 0\.5, is 0\.25"):
        train(replace(config, class_weights=0.25), fabric)


def test_a_network_goes_on_from_another_runs_best_and_keeps_what_it_is_told_to(
    trained: Path, fabric: Fabric, tmp_path: Path
) -> None:
    folder = write_masks(tmp_path / "other", 9)
    (folder / "labels.txt").write_text("background\ndisc\n")  # squares are void
    best = trained / "shapes/best.ckpt"
    config = replace(
        SMALL,
        data=folder,
        run=tmp_path,
        weights=str(best),
        frozen_stages=3,
        keep_statistics=True,
        training=ONCE,
    )
    results = train(config, fabric)
    given = torch.load(best, weights_only=True)["networks"]["net"]
    net = results.module.net.state_dict()
    moved = {name for name in given if given[name].shape != net[name].shape}
    assert moved
    assert all(name.startswith(("scores.", "upsamplings.")) for name in moved)
    kept = ("body._blocks.2._project_conv.weight", "body._blocks.15._bn2.running_mean")
    learned = ("body._blocks.15._project_conv.weight", "scores.0.1.running_mean")
    assert [net[name].equal(given[name]) for name in (*kept, *learned)] == [True] * 2 + [False] * 2
    assert isinstance(results.module.net.get_submodule("body._blocks.15._bn2"), FrozenBatchNorm2d)
    assert results.begun is not None
    assert results.begun.name == "best.ckpt"
    assert results.gathered.classes == ("background", "disc")
    assert results.quality.confusion.shape == (2, 2)


def test_what_does_not_go_together_is_said(masks: Path, fabric: Fabric, tmp_path: Path) -> None:
    config = replace(SMALL, data=masks, run=tmp_path / "runs")
    with pytest.raises(ArchitectureError, match="no segmentation network unet"):
        train(replace(config, architecture="unet"), fabric)
    with pytest.raises(DataError, match="--data DIR"):
        train(replace(config, data=None), fabric)
    other = tmp_path / "other.pth"
    torch.save(build("fcn8s-efficientnet_lite1", 3).state_dict(), other)
    with pytest.raises(WeightsError, match="does not fit the network"):
        train(replace(config, weights=str(other)), fabric)
    torch.save(build(SMALL.architecture, 3).state_dict(), other)
    with pytest.raises(ArchitectureError, match="has 8 stages to freeze, not 9"):
        train(replace(config, weights=str(other), frozen_stages=9), fabric)
    assert not list((tmp_path / "runs").glob("*/*.ckpt"))


def test_weights_are_those_of_the_architecture(
    masks: Path, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, weights=Segment().weights, run=tmp_path)
    with pytest.raises(WeightsError, match="name others with --weights"):  # no picture is read
        train(replace(config, architecture="fcn-resnet101", data=tmp_path / "missing"), fabric)
    asked: list[str] = []

    def load(net: Any, architecture: Any, locator: str, downloads: Path | None) -> None:
        asked.append(locator)
        raise WeightsError("none are fetched here")

    monkeypatch.setattr(loading, "load", load)
    for name in ("fcn8s-efficientnet_lite0", "fcn4s-efficientnet_lite2"):
        with pytest.raises(WeightsError, match="none are fetched"):
            train(replace(config, architecture=name, data=masks), fabric)
    assert asked == ["efficientnet-lite0-imagenet", "efficientnet-lite2-imagenet"]


def test_rare_classes_are_weighed_only_where_it_is_asked_for(
    masks: Path, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Any]] = []

    def note(*_: Any, class_weights: Any, picture_weights: Any, **__: Any) -> None:
        seen.append((class_weights, picture_weights))
        raise StoppedError("noted")

    monkeypatch.setattr(trainings, "SegmentRecipe", note)
    for power, balance in ((0.0, 0.0), (0.5, 1.0)):
        config = replace(SMALL, data=masks, class_weights=power, balance=balance, run=tmp_path)
        with pytest.raises(StoppedError):
            train(config, fabric)
    assert seen[0] == (None, None)
    of_classes, of_pictures = seen[1]
    assert of_classes.shape == (3,)
    assert of_classes[0] < 1 < min(of_classes[1:])  # most pixels are background
    assert of_pictures.tolist() == [1] * 8  # all of which show the same classes


def test_classes_without_test_pixels_have_no_figures(fabric: Fabric, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "set", 6)
    write_lists(folder, {"train": ["0000", "0001"], "val": ["0002"], "test": ["0004"]})
    with (folder / "labels.txt").open("a") as file:
        file.write("star\n")
    mask = draw(0)[1].copy()
    mask[0] = 3  # a star to learn from; there is none to measure on
    write_mask(folder / "masks/0000.png", mask)
    config = replace(SMALL, data=folder, run=tmp_path, training=ONCE)
    results = train(config, fabric)
    written = json.loads(json.dumps(results.figures(), allow_nan=False))
    assert written["classes"]["star"] == {"pixels": 0, "iou": None}
    assert written["classes"]["disc"]["pixels"] == int((draw(4)[1] == 1).sum())
    assert 0 <= written["classes"]["background"]["iou"] <= 1


def test_all_faults_are_written_where_not_all_are_told(fabric: Fabric, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "set", 31)
    lists = {"train": range(27), "val": range(27, 29), "test": range(29, 31)}
    write_lists(folder, {part: [f"{seed:04}" for seed in seeds] for part, seeds in lists.items()})
    for seed in range(23):
        write_mask(folder / f"masks/{seed:04}.png", np.zeros((9, 9), np.uint8))
    told: list[str] = []
    config = replace(SMALL, data=folder, run=tmp_path / "runs", training=ONCE)
    path = tmp_path / "runs/shapes" / faults.FILE
    results = train(config, fabric, told.append)
    written = path.read_text().splitlines()
    assert tuple(written) == results.gathered.faults
    assert sum("is 9x9" in line for line in written) == 23
    assert [line for line in told if line in written] == written[:20]
    assert f"and {len(written) - 20} more objects or pictures like these; all are in {path}" in told


def test_processes_measure_a_part_each_and_the_first_draws_the_intervals(
    masks: Path, done: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = done.gathered.test
    # What is told is what is there, in all pictures but two.
    found = []
    for index in range(len(test)):
        truth = test.original(index)[0]
        told = np.where(truth < 3, truth, 0)
        found.append(confusion(truth, np.roll(told, 9, 1) if index in (1, 4) else told, 3))
    parts: list[Part] = []

    def pretend(module: Any, pictures: Any, part: Part) -> list[NDArray[np.int64]]:
        parts.append(part)
        return found[part.rank :: part.world]

    def gather(everything: list[Any], mine: Any) -> None:
        everything[:] = [found[rank::2] for rank in range(2)]

    monkeypatch.setattr(trainings, "confusions", pretend)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    qualities = []
    for rank in range(2):
        config = replace(SMALL, data=masks, run=tmp_path / str(rank))
        (tmp_path / str(rank) / "shapes").mkdir(parents=True)
        one: Any = SimpleNamespace(global_rank=rank, world_size=2, is_global_zero=rank == 0)
        qualities.append(trainings._measured(config, done.module, done.gathered, one))
    assert parts == [Part(0, 2), Part(1, 2)]
    first, second = qualities
    assert first.miou == second.miou
    assert 0.5 < first.miou < 1
    assert first.pictures == second.pictures == 6
    assert not any(map(math.isnan, first.miou_interval))
    assert all(map(math.isnan, second.miou_interval))
    assert {path.name for path in (tmp_path / "0/shapes").iterdir()} == {CONFUSION, MASKS}
    assert not list((tmp_path / "1/shapes").iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_test_pictures_are_measured_where_training_was(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def note(module: torch.nn.Module, *others: Any) -> list[NDArray[np.int64]]:
        seen.append(next(module.parameters()).device.type)
        return confusions(module, *others)

    monkeypatch.setattr(trainings, "confusions", note)
    results = train(replace(SMALL, data=masks, run=tmp_path), launch(Devices(accelerator="cuda")))
    assert seen == ["cuda"]
    assert {tensor.device.type for tensor in results.module.state_dict().values()} == {"cpu"}
