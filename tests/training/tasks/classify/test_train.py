"""Whole trainings in small: of every preset, of a folder, of several seeds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from training.data.augment import Augmentation
from training.devices import Devices, launch
from training.errors import StoppedError
from training.nets.architectures import ArchitectureError, build, find
from training.run import RunError
from training.settings import Training
from training.tasks.classify.config import Classify, Optimisation
from training.tasks.classify.presets import FOLDER, PRESETS
from training.tasks.classify.recipe import ClassifyRecipe
from training.tasks.classify.train import Results, Trained, start, train
from training.weights import WeightsError

SMALL = Classify(
    architecture="convnet",
    size=28,
    held_out=0.2,
    test=0.2,
    optimisation=Optimisation(batch_size=8),
    augmentation=Augmentation(flip=True, brightness=0.2),
    training=Training(epochs=2, warmup_epochs=0.5),
)


def small(preset: Classify, data: Path, run: Path, **changes: Any) -> Classify:
    """A preset on few pictures, for two epochs."""
    return replace(
        preset,
        data=data,
        run=run,
        held_out=0.2,
        optimisation=replace(preset.optimisation, batch_size=16),
        training=replace(preset.training, epochs=2, warmup_epochs=1),
        **changes,
    )


def state(trained: Trained) -> dict[str, Tensor]:
    return trained.net.state_dict()


def assert_equal(one: Trained, other: Trained) -> None:
    torch.testing.assert_close(state(one), state(other), rtol=0, atol=0)
    assert torch.equal(one.probabilities, other.probabilities)
    assert one.held_out_top1 == other.held_out_top1


def interrupt(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Stop the next training when it comes to an epoch."""

    def begin_epoch(self: ClassifyRecipe, number: int) -> None:
        if number == epoch:
            monkeypatch.setattr(ClassifyRecipe, "begin_epoch", lambda *_: None)
            raise StoppedError("stopped by the test")

    monkeypatch.setattr(ClassifyRecipe, "begin_epoch", begin_epoch)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_stops_and_goes_on(
    name: str, sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = PRESETS[name]
    if name == "cifar10-vgg16":  # one checkpoint of the whole takes 180 MB
        preset = replace(preset, training=replace(preset.training, ema=None))
    config = small(preset, sets[preset.dataset], tmp_path)
    fabric = launch(Devices(accelerator="cpu", precision=preset.devices.precision))
    interrupt(monkeypatch, epoch=1)
    with pytest.raises(StoppedError):
        train(config, fabric)
    with pytest.raises(RunError, match="--resume"):
        train(config, fabric)
    results = train(replace(config, resume=True), fabric)
    [trained] = results.trained
    assert trained.probabilities.shape == (20, 10)
    assert torch.isfinite(trained.probabilities).all()
    assert trained.test_top1 == float(
        (trained.probabilities.argmax(1) == results.gathered.test.targets).double().mean()
    )
    folder = tmp_path / name
    assert {"augmentation.png", "best.ckpt", "config.json", "curves.png", "last.ckpt"} <= {
        path.name for path in folder.iterdir()
    }
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["split"] == "held_out"] == [1, 2]
    with Image.open(folder / "augmentation.png") as sheet:
        assert sheet.width > 500


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    """A file of weights for an ImageNet of a thousand classes: random ones."""
    path = tmp_path / "weights.pth"
    torch.manual_seed(7)
    torch.save(build("mobilenet_v2", 1000).state_dict(), path)
    return path


def test_the_folder_recipe_begins_with_the_head_of_published_weights(
    folder: Path,
    backbone: Path,
    fabric: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    config = small(
        replace(FOLDER, test=0.2, freeze_epochs=1),
        folder,
        tmp_path / "runs",
        weights=str(backbone),
        architecture="mobilenet_v2",
        size=48,
    )
    interrupt(monkeypatch, epoch=1)
    with pytest.raises(StoppedError):
        train(config, fabric)
    run = tmp_path / "runs/classifier"
    head = torch.load(run / "head/best.ckpt", weights_only=True)["networks"]["net"]
    published = torch.load(backbone, weights_only=True)
    prefixes = find("mobilenet_v2").head
    for name, tensor in head.items():
        if not name.startswith(prefixes):
            assert tensor.equal(published[name]), name
    # The second phase begins with what the first one learnt: a step of warm-up hardly moves it.
    whole = torch.load(run / "last.ckpt", weights_only=True)["networks"]["net"]
    learnt = head["classifier.1.weight"]
    fresh = torch.nn.init.normal_(torch.empty_like(learnt), 0, 0.01)
    moved = (whole["classifier.1.weight"] - learnt).norm()
    assert moved < 0.5 * (learnt - fresh).norm()
    assert not whole["features.0.0.weight"].equal(published["features.0.0.weight"])
    assert not whole["features.0.1.running_mean"].equal(published["features.0.1.running_mean"])
    resumed = train(replace(config, resume=True), fabric)
    at_once = train(replace(config, run=tmp_path / "other"), fabric)
    assert_equal(resumed.best, at_once.best)
    assert resumed.published.locator == str(backbone)


def test_the_same_configuration_gives_the_same_weights_and_seeds_differ(
    folder: Path, fabric: Fabric, tmp_path: Path
) -> None:
    config = replace(SMALL, data=folder)

    def results(name: str, **changes: Any) -> Results:
        return train(replace(config, run=tmp_path / name, **changes), fabric)

    both = results("both", seeds=2)
    first = results("first")
    second = results("second", training=replace(SMALL.training, seed=1))
    assert [one.seed for one in both.trained] == [0, 1]
    assert_equal(both.trained[0], first.best)
    assert_equal(both.trained[1], second.best)
    assert not torch.equal(first.best.probabilities, second.best.probabilities)
    folders = {path.name for path in (tmp_path / "both/classifier").iterdir()}
    assert folders == {"seed-0", "seed-1"}

    probabilities = (first.best.probabilities + second.best.probabilities) / 2
    targets = both.gathered.test.targets
    right = (probabilities.argmax(1) == targets).double().mean()
    assert both.ensemble_top1 == pytest.approx(float(right))
    figures = both.figures()
    scores = [first.best.test_top1, second.best.test_top1]
    assert figures["mean_test_top1"] == pytest.approx(sum(scores) / 2)
    assert figures["std_test_top1"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert figures["ensemble_test_top1"] == both.ensemble_top1
    assert figures["test_pictures"] == len(targets) == 6
    assert figures["seeds"]["1"]["held_out_top1"] == second.best.held_out_top1
    assert first.figures()["std_test_top1"] == 0
    best = max(both.trained, key=lambda one: one.held_out_top1)
    assert both.best is best


def test_a_finished_run_is_taken_as_it_is_and_not_with_other_settings(
    folder: Path, fabric: Fabric, tmp_path: Path
) -> None:
    config = replace(SMALL, data=folder, run=tmp_path, training=Training(epochs=1, warmup_epochs=0))
    before = train(config, fabric)
    sheet = tmp_path / "classifier/augmentation.png"
    drawn = sheet.read_bytes()
    again = train(replace(config, resume=True), fabric)
    assert_equal(before.best, again.best)
    other = replace(config, resume=True, optimisation=Optimisation(batch_size=8, lr=0.5))
    with pytest.raises(RunError, match=r"optimisation.lr was 0.001, is 0.5"):
        train(other, fabric)
    assert sheet.read_bytes() == drawn


def test_what_does_not_go_together_is_said(
    folder: Path, fabric: Fabric, tmp_path: Path, backbone: Path
) -> None:
    config = replace(SMALL, data=folder, run=tmp_path / "runs")
    with pytest.raises(ArchitectureError, match="no network resnet19"):
        train(replace(config, architecture="resnet19"), fabric)
    with pytest.raises(ArchitectureError, match="no dropout"):
        train(replace(config, architecture="resnet18", dropout=0.5), fabric)
    with pytest.raises(WeightsError, match="does not tell its architecture"):
        train(replace(config, architecture=None, weights="efficientnet-lite9"), fabric)
    named = replace(config, architecture="resnet18", weights="efficientnet-lite0-imagenet")
    with pytest.raises(WeightsError, match="is of efficientnet_lite0, not of resnet18"):
        train(named, fabric)
    wrong = replace(config, architecture="efficientnet_lite0", weights=str(backbone), size=64)
    with pytest.raises(WeightsError, match="does not fit this efficientnet_lite0"):
        train(wrong, fabric)
    assert not list((tmp_path / "runs").glob("*/*.ckpt"))


def test_without_weights_a_network_begins_at_random() -> None:
    published = start(Classify())
    assert published.architecture == "resnet18"
    assert (published.mean, published.std, published.labels) == (128.0, 64.0, ())
    assert start(FOLDER).architecture == "efficientnet_lite0"
    assert len(start(FOLDER).labels) == 1000
