"""The presets and the options of the command line."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from training.cli import COMMANDS
from training.nets.architectures import build, find
from training.tasks.classify.config import Classify, Optimisation
from training.tasks.classify.presets import FOLDER, PRESETS
from training.tasks.classify.train import start


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_command_of_its_name_and_can_be_built(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert COMMANDS[name][0] == preset
    assert preset.dataset in COMMANDS[name][1]
    assert preset.weights is None
    net = build(start(preset).architecture, 10, small_images=True, dropout=preset.dropout, size=28)
    assert sum(parameter.numel() for parameter in net.parameters()) > 10_000


def test_presets_are_apart_from_one_another() -> None:
    assert len({str(asdict(preset)) for preset in PRESETS.values()}) == len(PRESETS) == 4
    assert PRESETS["mnist"].export
    assert "digit" in PRESETS["mnist"].use
    assert PRESETS["mnist"].licence != "unspecified"


def test_the_recipe_for_folders_begins_with_weights_it_keeps_at_first() -> None:
    assert FOLDER.dataset == "folder"
    assert FOLDER.weights is not None
    assert FOLDER.freeze_epochs > 0
    assert 0 < FOLDER.optimisation.layer_decay < 1
    published = start(FOLDER)
    assert find(published.architecture).dropout is not None
    assert FOLDER.augmentation.needs_margin
    assert published.crop < 1  # so that there is a margin


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"seeds": 0}, "--seeds must be at least 1, not 0"),
        ({"held_out": 0.0}, "--held-out must be between 0 and 1, not 0.0"),
        ({"held_out": 1.0}, "--held-out must be between 0 and 1, not 1.0"),
        ({"test": 1.0}, "--test must be between 0 and 1"),
        ({"dropout": 1.0}, "--dropout must be from 0 to less than 1"),
        ({"dropout": -0.1}, "--dropout must be from 0"),
        ({"size": 0}, "--size must be at least 1"),
        ({"freeze_epochs": -1}, "--freeze-epochs must be 0 or more"),
        ({"freeze_epochs": 2}, "--freeze-epochs 2 keeps published weights .* --freeze-epochs 0"),
        ({"workers": -1}, "--workers must be 0 or more"),
        ({"memory_mib": -1}, "--memory-mib must be 0 or more"),
        ({"name": "My Pets"}, "--name must be small letters.*'My Pets'"),
        ({"name": "../pets"}, "--name must be small letters"),
        ({"name": ""}, "--name must be small letters"),
        ({"dataset": "mnist", "size": 64}, "--size is for folders; mnist"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Classify(**options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lr": 0.0}, "--lr must be above 0, not 0.0"),
        ({"lr": float("nan")}, "--lr must be above 0, not nan"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"weight_decay": -1.0}, "--weight-decay must be 0 or more"),
        ({"layer_decay": 0.0}, "--layer-decay must be above 0 and at most 1"),
        ({"layer_decay": 1.1}, "--layer-decay must be above 0 and at most 1"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be from 0 to less than 1"),
    ],
)
def test_weights_that_cannot_be_moved_so_are_refused(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Optimisation(**options)


def test_grey_pictures_have_no_colours_to_change() -> None:
    mnist = PRESETS["mnist"]
    with pytest.raises(ValueError, match="--colour is for colours; the pictures of mnist are grey"):
        replace(mnist, augmentation=replace(mnist.augmentation, colour=0.2))
    replace(mnist, augmentation=replace(mnist.augmentation, brightness=0.2))
