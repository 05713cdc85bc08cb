"""The presets, and what their command lines become."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from training import cli
from training.nets.segmentation.architectures import build, find, freeze_first
from training.published import describe
from training.tasks.segment.config import Segment
from training.tasks.segment.presets import FOLDER, PRESETS

COMMANDS = {**PRESETS, "segment": FOLDER}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Segment]:
    """The configurations that command lines become, in place of training them."""
    seen: list[Segment] = []

    def run(config: Segment, console: Console, arguments: Sequence[str]) -> None:
        del console, arguments
        seen.append(config)

    monkeypatch.setattr("training.cli.segment_command.run", run)
    return seen


@pytest.mark.parametrize("name", COMMANDS)
def test_a_preset_is_a_command(name: str, parsed: list[Segment]) -> None:
    assert cli.COMMANDS[name][0] == COMMANDS[name]
    assert cli.main([name, "--data", "shapes"]) == 0
    assert parsed == [replace(COMMANDS[name], data=Path("shapes"))]


def test_every_part_of_a_preset_can_be_changed(parsed: list[Segment]) -> None:
    arguments = [
        *("voc", "--data", "voc", "--epochs", "3", "--lr", "0.1", "--balance", "0.2"),
        *("--scale-max", "1.9", "--no-flip", "--crop-height", "None", "--precision", "32-true"),
        *("--weights", "None", "--frozen-stages", "0", "--no-keep-statistics", "--no-export"),
        "--resume",
    ]
    assert cli.main(arguments) == 0
    [config] = parsed
    assert config.training == replace(PRESETS["voc"].training, epochs=3)
    assert config.optimisation == replace(PRESETS["voc"].optimisation, lr=0.1)
    assert config.augmentation == replace(
        PRESETS["voc"].augmentation, scale_max=1.9, flip=False, crop_height=None
    )
    assert (config.devices.precision, config.resume, config.export) == ("32-true", True, False)
    assert (config.balance, config.class_weights) == (0.2, PRESETS["voc"].class_weights)
    assert (config.weights, config.frozen_stages, config.keep_statistics) == (None, 0, False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_preset_can_be_built(name: str) -> None:
    preset = COMMANDS[name]
    architecture = find(preset.architecture)
    with torch.device("meta"):
        net = build(architecture.name, 3)
    freeze_first(net, architecture, preset.frozen_stages)
    assert preset.weights is not None
    assert describe(preset.weights).architecture == architecture.classifier.removesuffix("_bn")
    assert preset.resolved() == preset
    assert 0 < preset.optimisation.layer_decay < 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_shipped_model_says_what_it_is(name: str) -> None:
    assert PRESETS[name].export
    assert PRESETS[name].name == name
    assert PRESETS[name].licence != "unspecified"
    assert PRESETS[name].description


def test_there_is_one_default_segmenter() -> None:
    assert [name for name, preset in COMMANDS.items() if preset.default] == ["voc"]
    assert PRESETS["voc"].dataset == "voc"
