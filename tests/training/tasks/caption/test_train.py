"""Whole trainings in small: at once, interrupted, and with what does not go together."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from training import faults
from training.data.errors import DataError
from training.errors import StoppedError
from training.nets.architecture import ArchitectureError, belongs
from training.nets.captioning.net import CaptionNet
from training.optimisation import Optimisation
from training.recipe import Part
from training.run import RunError
from training.settings import Training
from training.tasks.caption import train as trainings
from training.tasks.caption.config import Caption
from training.tasks.caption.predict import captions
from training.tasks.caption.recipe import CaptionRecipe
from training.tasks.caption.train import ATTENTION, SHEET, Results, train
from training.weights import WeightsError

SMALL = Caption(
    name="things",
    backbone="mobilenet_v2",
    height=64,
    width=64,
    hidden=16,
    dropout=0.1,
    min_count=2,
    longest=6,
    captions=2,
    own_words=0.2,
    self_critical_epochs=1,
    beams=2,
    optimisation=Optimisation(batch_size=4, lr=1e-2),
    training=Training(epochs=3, warmup_epochs=0.5, ema=0.5),
)
TUNED = replace(SMALL, network="nic", tuned_stages=2)


def interrupt(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Stop the next training when it comes to an epoch."""
    real = CaptionRecipe.begin_epoch

    def begin_epoch(self: CaptionRecipe, number: int) -> None:
        if number == epoch:
            monkeypatch.setattr(CaptionRecipe, "begin_epoch", real)
            raise StoppedError("stopped by the test")
        real(self, number)

    monkeypatch.setattr(CaptionRecipe, "begin_epoch", begin_epoch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def done(told: Path, weights: str, folder: Path, fabric: Fabric) -> Results:
    return train(replace(SMALL, data=told, weights=weights, run=folder), fabric)


def weights_of(run: Path, name: str = "last") -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / f"{name}.ckpt", weights_only=True)
    return state


def test_a_run_leaves_its_figures_and_what_it_was(told: Path, folder: Path, done: Results) -> None:
    run = folder / "things"
    names = {path.name for path in run.iterdir()}
    plots = {SHEET, ATTENTION, "curves.png"}
    assert faults.FILE not in names
    assert plots | {"best.ckpt", "config.json", "history.jsonl", "last.ckpt"} <= names
    for name in plots:
        with Image.open(run / name) as picture:
            assert min(picture.size) > 100
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    held_out = [line for line in lines if line["split"] == "held_out"]
    assert [line["epoch"] for line in held_out] == [1, 2, 3]
    assert all({"cider", "bleu4", "words"} <= line.keys() for line in held_out)
    trained = [line for line in lines if line not in held_out]
    assert {line["epoch"] for line in trained if "drawn_cider" in line} == {3}
    assert {line["epoch"] for line in trained if "words_right" in line} == {1, 2}

    figures = json.loads(json.dumps(done.figures(), allow_nan=False))
    assert figures["train_pictures"] == 8
    assert figures["test_pictures"] == 6
    assert figures["vocabulary"] == len(done.gathered.vocabulary)
    assert set(figures["test"]) == {"1", "2", "3", "5"}
    assert figures["beams"] == 2
    assert figures["test"]["2"]["cider"] == done.served.cider
    assert None not in figures["test"]["2"]["bleu4_interval"]
    assert figures["test"]["5"]["bleu4_interval"] == [None, None]  # of what is served alone
    assert figures["best_epoch"] in (1, 2, 3)
    assert not done.module.training
    assert str(told.parent) not in (run / "config.json").read_text()
    assert len(list((folder / "features").glob("*.npy"))) == 3  # beside the runs, for others


@pytest.mark.parametrize("epoch", [1, 2])  # before and at the switch to captions that are drawn
@pytest.mark.parametrize("kind", ["attention", "tuned"])
def test_a_resumed_run_is_an_unbroken_one(
    kind: str,
    epoch: int,
    told: Path,
    weights: str,
    folder: Path,
    tuned: Path,
    done: Results,
    fabric: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = SMALL if kind == "attention" else TUNED
    config = replace(config, data=told, weights=weights, run=tmp_path)
    if kind == "attention":
        config = replace(config, features=folder / "features")
    interrupt(monkeypatch, epoch)
    with pytest.raises(StoppedError):
        train(config, fabric)
    results = train(replace(config, resume=True), fabric)
    whole = weights_of((folder if kind == "attention" else tuned) / "things")
    resumed = weights_of(tmp_path / "things")
    for name in ("networks", "averages", "optimizers", "best"):
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)
    if kind == "attention":
        assert results.served.cider == done.served.cider


@pytest.fixture(scope="module")
def tuned(told: Path, weights: str, fabric: Fabric, tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("tuned")
    config = replace(TUNED, data=told, weights=weights, run=folder)
    results = train(config, fabric)
    backbone = results.module.backbone
    torch.save(backbone.state_dict(), folder / "backbone.pth")
    return folder


def test_the_last_stages_of_the_backbone_are_trained_and_only_they(
    tuned: Path, weights: str
) -> None:
    given = torch.load(weights, weights_only=True)
    found = torch.load(tuned / "backbone.pth", weights_only=True)
    last = weights_of(tuned / "things")["networks"]["net"]
    best = weights_of(tuned / "things", "best")["networks"]["net"]
    moved = set()
    for name, tensor in given.items():
        if name.startswith("classifier."):
            assert f"net.{name}" not in found
            continue
        if not last[f"backbone.net.{name}"].equal(tensor):
            moved.add(name)
        assert found[f"net.{name}"].equal(best[f"backbone.net.{name}"])
    assert moved
    assert all(belongs(name, ("features.17", "features.18")) for name in moved)
    assert {name.split(".")[1] for name in moved} == {"17", "18"}
    assert not any("running" in name for name in moved)
    assert {name.split(".")[0] for name in last} == {"decoder", "backbone"}
    assert not (tuned / "features").exists()
    names = {path.name for path in (tuned / "things").iterdir()}
    assert SHEET in names
    assert ATTENTION not in names  # one that sees the picture once does not look


def test_a_run_is_not_gone_on_with_under_other_settings(
    told: Path, weights: str, folder: Path, done: Results, fabric: Fabric
) -> None:
    config = replace(SMALL, data=told, weights=weights, run=folder, resume=True)
    for change, complaint in (
        ({"network": "nic"}, "network was attention, is nic"),
        ({"hidden": 8}, "hidden was 16, is 8"),
        ({"self_critical_epochs": 0}, "self_critical_epochs was 1, is 0"),
    ):
        with pytest.raises(RunError, match=complaint):
            train(replace(config, **change), fabric)
    del done


def test_what_is_done_is_measured_anew_with_other_beams(
    told: Path, weights: str, folder: Path, done: Results, fabric: Fabric
) -> None:
    config = replace(SMALL, data=told, weights=weights, run=folder, resume=True, beams=4)
    results = train(config, fabric)
    assert set(results.quality) == {1, 3, 4, 5}
    assert results.quality[1].cider == done.quality[1].cider
    assert results.module.search.beams == 4


def test_what_does_not_go_together_is_said(
    told: Path, weights: str, fabric: Fabric, tmp_path: Path
) -> None:
    config = replace(SMALL, data=told, weights=weights, run=tmp_path / "runs")
    with pytest.raises(ArchitectureError, match="unet cannot be a backbone"):
        train(replace(config, backbone="unet"), fabric)
    with pytest.raises(WeightsError, match="does not fit"):
        train(replace(config, backbone="resnet18"), fabric)
    with pytest.raises(DataError, match="--data DIR"):
        train(replace(config, data=None), fabric)
    with pytest.raises(DataError, match=r"none of the .* words .* 99 times"):
        train(replace(config, min_count=99), fabric)
    with pytest.raises(ArchitectureError, match="mobilenet_v2 has 9 stages to tune, not 20"):
        train(replace(config, tuned_stages=20), fabric)
    assert not list((tmp_path / "runs").glob("*/*.ckpt"))


def test_processes_measure_a_part_each_and_the_first_draws(
    told: Path, done: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered = done.gathered
    test = gathered.test
    found = [["a", "blue" if at % 3 else "red", "thing"] for at in range(len(test))]
    parts: list[Part] = []

    def pretend(net: Any, search: Any, examples: Any, part: Part) -> list[list[str]]:
        parts.append(part)
        return found[part.rank :: part.world]

    def gather(everything: list[Any], mine: Any) -> None:
        everything[:] = [found[rank::2] for rank in range(2)]

    monkeypatch.setattr(trainings, "captions", pretend)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    net = CaptionNet(done.module.search.decoder)
    qualities = []
    for rank in range(2):
        config = replace(SMALL, data=told, run=tmp_path / str(rank))
        (tmp_path / str(rank) / "things").mkdir(parents=True)
        one: Any = SimpleNamespace(global_rank=rank, world_size=2, is_global_zero=rank == 0)
        qualities.append(trainings._measured(config, net, gathered, (2, 2), one)[2])
    assert set(parts) == {Part(0, 2), Part(1, 2)}
    first, second = qualities
    assert first.cider == second.cider > 0
    assert first.pictures == second.pictures == 6
    assert not any(map(math.isnan, first.bleu4_interval))
    assert all(map(math.isnan, second.bleu4_interval))
    assert {path.name for path in (tmp_path / "0/things").iterdir()} == {SHEET, ATTENTION}
    assert not list((tmp_path / "1/things").iterdir())


def test_the_module_is_the_best_epochs_network(done: Results, folder: Path) -> None:
    best = weights_of(folder / "things", "best")["networks"]["net"]
    for name, tensor in done.module.search.decoder.state_dict().items():
        assert tensor.equal(best[f"decoder.{name}"])
    net = CaptionNet(done.module.search.decoder)
    held_out = captions(net, done.module.search, done.gathered.held_out)
    assert len(held_out) == 4
