"""The presets, and what their command lines become."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from training import cli
from training.nets.detection.architectures import build, find, freeze_first
from training.published import describe
from training.tasks.detect.config import Detect
from training.tasks.detect.presets import FOLDER, PRESETS

COMMANDS = {**PRESETS, "detect": FOLDER}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Detect]:
    """The configurations that command lines become, in place of training them."""
    seen: list[Detect] = []

    def run(config: Detect, console: Console, arguments: Sequence[str]) -> None:
        del console, arguments
        seen.append(config)

    monkeypatch.setattr("training.cli.detect_command.run", run)
    return seen


@pytest.mark.parametrize("name", COMMANDS)
def test_a_preset_is_a_command(name: str, parsed: list[Detect]) -> None:
    assert cli.COMMANDS[name][0] == COMMANDS[name]
    assert cli.main([name, "--data", "shapes"]) == 0
    assert parsed == [replace(COMMANDS[name], data=Path("shapes"))]


def test_every_part_of_a_preset_can_be_changed(parsed: list[Detect]) -> None:
    arguments = [
        *("bccd", "--data", "cells", "--classes", "RBC", "WBC", "--epochs", "3", "--lr", "0.1"),
        *("--scale-max", "1.9", "--no-vertical-flip", "--precision", "32-true", "--resume"),
        *("--threshold", "0.3", "--weights", "None", "--frozen-stages", "0", "--no-export"),
    ]
    assert cli.main(arguments) == 0
    [config] = parsed
    assert config.classes == ("RBC", "WBC")
    assert config.training == replace(PRESETS["bccd"].training, epochs=3)
    assert config.optimisation == replace(PRESETS["bccd"].optimisation, lr=0.1)
    assert (config.augmentation.scale_max, config.augmentation.vertical_flip) == (1.9, False)
    assert (config.devices.precision, config.resume, config.export) == ("32-true", True, False)
    assert (config.threshold, config.weights, config.frozen_stages) == (0.3, None, 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_preset_can_be_built(name: str) -> None:
    preset = COMMANDS[name]
    architecture = find(preset.architecture)
    with torch.device("meta"):
        net = build(architecture.name, 3)
    freeze_first(net, architecture, preset.frozen_stages)
    assert preset.weights is not None
    assert describe(preset.weights).architecture == architecture.classifier
    assert 0 < preset.optimisation.layer_decay < 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_shipped_model_says_what_it_is(name: str) -> None:
    assert PRESETS[name].export
    assert PRESETS[name].licence != "unspecified"
    assert PRESETS[name].description


def test_there_is_one_default_detector() -> None:
    assert [name for name, preset in COMMANDS.items() if preset.default] == ["everyday"]
    assert PRESETS["everyday"].dataset == "everyday"
    assert "not for diagnosis" in PRESETS["bccd"].use
