"""What is trained on, chosen by and measured on, from folders and from benchmarks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.tasks.classify.tiny_sets import CLASSES, TEST, TRAINING, write_folder
from training.data.augment import Augmentation
from training.data.errors import DataError
from training.data.labelled import Labelled
from training.tasks.classify.config import Classify
from training.tasks.classify.data import Gathered, gather
from training.tasks.classify.train import start

CONFIG = Classify(architecture="resnet18", size=32, held_out=0.25, test=0.2)


def gathered(config: Classify) -> Gathered:
    return gather(config, start(config))


def pictures(labelled: Labelled) -> set[bytes]:
    return {image.numpy().tobytes() for image in labelled.images}


def test_a_folder_is_divided_in_three_and_no_picture_is_in_two_parts(folder: Path) -> None:
    found = gathered(replace(CONFIG, data=folder))
    parts = [found.train, found.held_out, found.test]
    assert [len(part) for part in parts] == [18, 6, 6]
    assert all(part.classes == tuple(sorted(CLASSES)) for part in parts)
    assert all(len(set(part.counts.tolist())) == 1 for part in parts)
    contents = [pictures(part) for part in parts]
    assert len(contents[0] | contents[1] | contents[2]) == 30
    assert (found.size, found.channels, found.small_images) == (32, 3, True)
    assert found.geometry.resize == "shortest_side"
    assert found.dataset == "crops"


def test_where_crops_are_taken_training_pictures_are_larger_and_the_parts_the_same(
    folder: Path,
) -> None:
    plain = gathered(replace(CONFIG, data=folder))
    crops = gathered(replace(CONFIG, data=folder, augmentation=Augmentation(crop_area=0.5)))
    side = round(32 / (224 / 256))
    assert crops.train.shape == (side, side, 3)
    assert crops.held_out.shape == crops.test.shape == (32, 32, 3)
    assert torch.equal(crops.train.targets, plain.train.targets)
    assert pictures(crops.test) == pictures(plain.test)
    # The same files in the same places: the middle of the larger one is the smaller one.
    edge = (side - 32) // 2
    middles = crops.train.images[:, edge : edge + 32, edge : edge + 32].float()
    differences = (middles[:, None] - plain.train.images.float()[None]).abs().mean((2, 3, 4))
    assert torch.equal(differences.argmin(1), torch.arange(len(plain.train)))


def test_the_parts_are_the_same_for_every_seed(folder: Path) -> None:
    first = gathered(replace(CONFIG, data=folder))
    other = replace(CONFIG, data=folder, training=replace(CONFIG.training, seed=5))
    assert torch.equal(first.test.images, gathered(other).test.images)


def test_a_divided_folder_keeps_its_parts(tmp_path: Path) -> None:
    write_folder(tmp_path / "set/train", 4)
    write_folder(tmp_path / "set/test", 2)
    found = gathered(replace(CONFIG, data=tmp_path / "set"))
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [9, 3, 6]
    write_folder(tmp_path / "set/val", 3)
    found = gathered(replace(CONFIG, data=tmp_path / "set"))
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [12, 9, 6]


def test_what_does_not_fit_into_memory_is_read_again_and_is_the_same(folder: Path) -> None:
    kept = gathered(replace(CONFIG, data=folder))
    read = gathered(replace(CONFIG, data=folder, memory_mib=0))
    assert kept.train.is_in_memory
    assert not read.train.is_in_memory
    assert torch.equal(kept.train.images, read.train.images)
    assert torch.equal(kept.test.images, read.test.images)


def test_damaged_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", 5)
    whole = (root / "cat/2.png").read_bytes()
    (root / "cat/2.png").write_bytes(whole[: len(whole) // 2])
    (root / "rocket/4.png").write_bytes(b"no picture")
    lines: list[str] = []
    config = replace(CONFIG, data=root)
    found = gather(config, start(config), lines.append)
    assert sum(len(part) for part in (found.train, found.held_out, found.test)) == 13
    left_out = [line for line in lines if line.startswith("left out ")]
    assert len(left_out) == 2
    assert "cat/2.png" in left_out[0]
    assert "rocket/4.png" in left_out[1]


def test_a_folder_that_will_not_do_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        gathered(CONFIG)
    with pytest.raises(DataError, match="is not a folder"):
        gathered(replace(CONFIG, data=tmp_path / "missing"))
    (tmp_path / "one/cat").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "one/cat/1.png")
    with pytest.raises(DataError, match="one class, 'cat'; there must be two"):
        gathered(replace(CONFIG, data=tmp_path / "one"))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_a_benchmark_keeps_its_test_part(name: str, sets: dict[str, Path]) -> None:
    config = Classify(dataset=name, data=sets[name], held_out=0.25)  # type: ignore[arg-type]
    found = gathered(config)
    # Of each of ten classes of four one is held out.
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [30, 10, TEST]
    assert len(found.train) + len(found.held_out) == TRAINING
    assert found.small_images
    side = 32 if name == "cifar10" else 28
    assert (found.size, found.channels) == (side, 3 if name == "cifar10" else 1)
    taken = 112 if name == "mnist" else side
    assert (found.geometry.height, found.geometry.width) == (taken, taken)


@pytest.mark.parametrize(
    ("architecture", "size", "weights", "adapted"),
    [
        ("resnet18", 64, None, True),
        ("resnet18", 65, None, False),
        ("resnet18", 64, "some.pth", False),  # the published stem would not fit
        ("efficientnet_lite0", 64, None, False),  # cannot be
    ],
)
def test_networks_are_adapted_to_small_pictures_where_they_can_be(
    architecture: str, size: int, weights: str | None, adapted: bool, folder: Path
) -> None:
    config = replace(CONFIG, data=folder, architecture=architecture, size=size, weights=weights)
    assert gathered(config).small_images is adapted


def test_the_size_is_that_of_the_weights_unless_said(folder: Path) -> None:
    config = Classify(data=folder, weights="efficientnet-lite1-imagenet")
    found = gathered(config)
    assert found.size == 240
    assert found.geometry.interpolation == "bicubic"
    assert found.geometry.crop == pytest.approx(240 / 272)
    assert np.ptp(found.train.images.numpy()) > 100
