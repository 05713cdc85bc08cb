"""The pictures, captions and features that a configuration names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.caption_sets import write_flickr8k
from training.data.errors import DataError
from training.data.pictures import prepare
from training.nets.captioning import backbones
from training.nets.captioning.backbones import Begun, places
from training.nets.pixels import Pixels
from training.tasks.caption.config import Caption
from training.tasks.caption.data import Gathered, gather

PIXELS = Pixels(127.0, 64.0)
SMALL = Caption(backbone="mobilenet_v2", height=64, width=96, min_count=1, views=3, longest=5)

Gather = Callable[..., tuple[Gathered, list[str]]]


@pytest.fixture(scope="module")
def begun(weights: str) -> Begun:
    return backbones.load("mobilenet_v2", weights)


@pytest.fixture
def gathered(begun: Begun, tmp_path: Path) -> Gather:
    def of(config: Caption) -> tuple[Gathered, list[str]]:
        lines: list[str] = []
        return gather(replace(config, run=tmp_path / "runs"), begun, PIXELS, lines.append), lines

    return of


def test_features_are_what_the_backbone_makes_of_each_view(
    told: Path, begun: Begun, gathered: Gather, tmp_path: Path
) -> None:
    found, lines = gathered(replace(SMALL, data=told))
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [8, 4, 6]
    assert lines[0] == f"reading {told}"
    assert lines[-1] == "features of 6 pictures in 1 views: 100%"
    assert found.dataset == "things"
    assert [source.name for source in found.sources] == ["things (pictures of the user)"]
    assert not found.faults
    geometry = found.geometry
    assert (geometry.height, geometry.width, geometry.resize) == (64, 96, "squash")
    for part in (found.train, found.test):
        plain = part.inputs.plain(3)
        assert plain.shape == (6, 1280)
        assert plain.dtype == torch.float16
        picture = torch.tensor(prepare(part.captioned.items[3].path, geometry))[None]
        with torch.inference_mode():
            expected = places(begun.backbone(PIXELS(picture)))[0]
        torch.testing.assert_close(plain.float(), expected, rtol=2e-3, atol=2e-3)
    varied = {
        found.train.inputs.varied(0, np.random.default_rng(s)).numpy().tobytes() for s in range(20)
    }
    assert len(varied) == 3
    assert (
        len(
            {
                found.test.inputs.varied(0, np.random.default_rng(s)).numpy().tobytes()
                for s in range(20)
            }
        )
        == 1
    )
    cached = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/features").glob("*.npy")}
    assert len(cached) == 3
    gathered(replace(SMALL, data=told, hidden=7, network="nic"))
    assert cached == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "runs/features").glob("*.npy")
    }


def test_a_backbone_that_is_trained_too_is_given_pictures(
    told: Path, gathered: Gather, tmp_path: Path
) -> None:
    found, _ = gathered(replace(SMALL, data=told, tuned_stages=1))
    assert found.train.inputs.plain(0).shape == (64, 96, 3)
    assert found.train[0].inputs.dtype == torch.uint8
    assert not (tmp_path / "runs/features").exists()


def test_words_are_learned_of_the_pictures_to_learn_from_alone(
    told: Path, gathered: Gather
) -> None:
    found, _ = gathered(replace(SMALL, data=told, tuned_stages=1, min_count=4))
    counts = {"a": 8, "thing": 8, "something": 8, "red": 6, "green": 6}  # and of blue two pictures
    assert set(counts) < set(found.vocabulary.words)
    assert "blue" in found.vocabulary.words
    fewer, _ = gathered(replace(SMALL, data=told, tuned_stages=1, min_count=5))
    assert "blue" not in fewer.vocabulary.words
    assert "red" in fewer.vocabulary.words
    assert found.test.vocabulary is found.train.vocabulary
    assert max(len(caption) for one in found.train.numbers for caption in one) == 5


def test_flickr8k_is_named(tmp_path: Path, gathered: Gather) -> None:
    parts = {"train": ["a.jpg", "b.jpg"], "dev": ["c.jpg"], "test": ["d.jpg"]}
    folder = write_flickr8k(tmp_path / "some-folder", parts)
    found, _ = gathered(replace(SMALL, data=folder, tuned_stages=1))
    assert [len(part) for part in (found.train, found.held_out, found.test)] == [2, 1, 1]
    assert found.dataset == "Flickr8k"
    assert [source.name for source in found.sources] == ["Flickr8k"]


def test_damaged_pictures_are_left_out_and_a_part_of_them_is_refused(
    tmp_path: Path, gathered: Gather
) -> None:
    parts = {"train": ["a.png", "b.png"], "dev": ["c.png"], "test": ["d.png"]}
    folder = write_flickr8k(tmp_path / "set", parts)
    pictures = folder / "Flicker8k_Dataset"
    (pictures / "b.png").write_bytes((pictures / "b.png").read_bytes()[:90])
    config = replace(SMALL, data=folder, tuned_stages=1)
    found, _ = gathered(config)
    assert len(found.train) == 1
    (fault,) = found.faults
    assert "b.png" in fault
    (pictures / "d.png").write_bytes((pictures / "d.png").read_bytes()[:90])
    with pytest.raises(DataError, match=r"no picture to test can be read; .*d\.png"):
        gathered(config)


def test_a_folder_must_be_named_and_be_there(tmp_path: Path, gathered: Gather) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        gathered(SMALL)
    with pytest.raises(DataError, match="missing is not a folder"):
        gathered(replace(SMALL, data=tmp_path / "missing"))
