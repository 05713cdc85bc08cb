"""The pictures of a configuration: divided, varied where they are learned from, faults told."""

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training.mask_sets import (
    CLASSES,
    draw,
    write_camvid,
    write_lists,
    write_mask,
    write_masks,
    write_picture,
    write_voc_masks,
)
from training.data.errors import DataError
from training.data.mask_augment import MaskAugmentation
from training.data.mask_pictures import MaskPictures
from training.data.masked import VOID, present
from training.data.voc_masks import held_out_voc
from training.tasks.segment import data as gathering
from training.tasks.segment.config import Segment
from training.tasks.segment.data import Gathered, gather

PAD = 127
SMALL = Segment(height=48, width=64, augmentation=MaskAugmentation(crop_height=40, crop_width=56))


def gathered(config: Segment, processes: int = 1) -> tuple[Gathered, list[str]]:
    lines: list[str] = []
    return gather(config, PAD, lines.append, processes=processes), lines


def stems(found: Gathered) -> list[set[str]]:
    parts = (found.train, found.held_out, found.test)
    return [{item.path.stem for item in part.masked.items} for part in parts]


def test_a_folder_that_divides_itself_is_taken_as_it_is(masks: Path) -> None:
    found, lines = gathered(replace(SMALL, data=masks, width=96))
    assert [len(part) for part in stems(found)] == [8, 4, 6]
    assert found.classes == CLASSES
    assert found.background == 0
    assert found.dataset == "shapes"
    assert [source.name for source in found.sources] == ["shapes (pictures of the user)"]
    assert lines == [f"reading {masks}"]
    assert [part.is_varied for part in (found.train, found.held_out, found.test)] == [
        *(True, False, False)
    ]
    assert found.train[0].image.shape == (3, 40, 56)
    example = found.test[0]
    assert example.image.shape == (3, 48, 96)
    assert (example.image[..., :16] == PAD).all()  # 96x72 became 64x48
    assert (example.mask[..., :16] == VOID).all()
    assert np.array_equal(found.pixels, present(found.train.masked))
    assert found.pixels.shape == (8, 3)


def test_a_home_of_the_pictures_is_told(masks: Path) -> None:
    url = "https://example.org/shapes"
    config = replace(SMALL, data=masks, data_url=url, data_licence="CC0-1.0")
    [source] = gathered(config)[0].sources
    assert (source.name, source.licence, source.url) == ("shapes", "CC0-1.0", url)


def test_what_a_folder_does_not_divide_is_divided_always_alike(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "whole", 18)
    config = replace(SMALL, data=folder, held_out=0.25, test=0.2)
    first, _ = gathered(config)
    other = replace(config, training=replace(config.training, seed=5))
    assert stems(first) == stems(gathered(other)[0])
    train, held_out, test = stems(first)
    assert len(train | held_out | test) == len(train) + len(held_out) + len(test) == 18
    assert len(test) == pytest.approx(0.2 * 18, abs=1)
    assert len(held_out) == pytest.approx(0.25 * (18 - len(test)), abs=1)
    write_lists(folder, {"test": sorted(test)})
    assert stems(gathered(config)[0]) == [train, held_out, test]


def test_camvid_has_its_own_parts_and_no_background(tmp_path: Path) -> None:
    found, _ = gathered(replace(SMALL, data=write_camvid(tmp_path / "CamVid")))
    assert [len(part) for part in stems(found)] == [3, 1, 2]
    assert len(found.classes) == 11
    assert found.background is None


def test_voc_is_measured_on_pictures_fixed_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_voc_masks(tmp_path, [f"2008_{number:06}" for number in range(12)])
    for path in (tmp_path / "SegmentationClass").iterdir():
        with Image.open(path) as image:
            mask = np.array(image)
        mask[0, :21] = range(21)  # every class is to be learned
        write_mask(path, mask)
    monkeypatch.setattr(gathering, "held_out_voc", partial(held_out_voc, count=4))
    config = replace(SMALL, dataset="voc", data=tmp_path, held_out=0.25)
    found, _ = gathered(config)
    assert [len(part) for part in stems(found)] == [6, 2, 4]
    assert stems(gathered(replace(config, held_out=0.5))[0])[2] == stems(found)[2]
    assert len(found.classes) == 21
    assert found.background == 0
    assert found.dataset == "VOC2012"
    assert [source.name for source in found.sources] == [
        "PASCAL VOC 2012",
        "SBD (masks of pictures of VOC)",
    ]


@pytest.mark.parametrize("memory_mib", [0, 64])
def test_what_is_left_out_is_told(tmp_path: Path, memory_mib: int) -> None:
    folder = write_masks(tmp_path / "set", 8)
    lists = {"train": range(4), "val": range(4, 6), "test": range(6, 8)}
    write_lists(folder, {part: [f"{seed:04}" for seed in seeds] for part, seeds in lists.items()})
    for name in ("images/0001.png", "masks/0004.png"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    write_mask(folder / "masks/0007.png", draw(7, width=40)[1])
    found, _ = gathered(replace(SMALL, data=folder, memory_mib=memory_mib))
    assert stems(found) == [{"0000", "0002", "0003"}, {"0005"}, {"0006"}]
    assert len(found.pixels) == len(found.train) == 3
    assert found.train.is_in_memory == (memory_mib > 0)
    for name in ("0001.png", "0004.png", "0007.png"):
        assert sum(name in line for line in found.faults) >= 1, name
    assert len(found.faults) == 4  # the list of the test pictures lacks 0007 besides


def test_sets_share_the_memory(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "set", 30)
    lists = {"train": range(14), "val": range(14, 22), "test": range(22, 30)}
    write_lists(folder, {part: [f"{seed:04}" for seed in seeds] for part, seeds in lists.items()})

    def kept(memory_mib: int, processes: int = 1) -> list[bool]:
        found, _ = gathered(replace(SMALL, data=folder, memory_mib=memory_mib), processes)
        return [part.is_in_memory for part in (found.train, found.held_out, found.test)]

    # 96x72x4 bytes of each varied picture, 64x48x4 of the others: 0.369, 0.094 and 0.094 MiB.
    assert kept(1) == [True, True, True]
    assert kept(1, processes=2) == [True, True, False]
    assert kept(1, processes=3) == [False, True, True]
    assert kept(1, processes=6) == [False, True, False]
    assert kept(0) == [False, False, False]


def test_processes_share_the_cores(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    class Noted(MaskPictures):
        def __init__(self, *others: Any, **options: Any) -> None:
            threads.append(options["threads"])
            super().__init__(*others, **options)

    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(gathering, "MaskPictures", Noted)
    for processes, share in ((1, 6), (4, 1), (8, 1)):
        threads.clear()
        gathered(replace(SMALL, data=masks), processes)
        assert threads == [share] * 3


@pytest.mark.parametrize(
    ("part", "name"),
    [("train", "2 pictures to train on"), ("val", "1 held-out pic"), ("test", "1 test pictures")],
)
def test_every_part_must_show_a_class(tmp_path: Path, part: str, name: str) -> None:
    folder = write_masks(tmp_path / "set", 4)
    lists = {"train": ["0000", "0001"], "val": ["0002"], "test": ["0003"]}
    write_lists(folder, lists)
    for stem in lists[part]:
        write_mask(folder / f"masks/{stem}.png", np.full((72, 96), 7, np.uint8))
    with pytest.raises(DataError, match=rf"no pixel of the {name}.*named in labels\.txt"):
        gathered(replace(SMALL, data=folder))


def test_every_class_must_be_learned(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "set", 4)
    (folder / "labels.txt").write_text("rest\nthing\n")
    for seed in range(4):  # as binary masks often are
        write_mask(folder / f"masks/{seed:04}.png", np.minimum(draw(seed)[1], 1) * np.uint8(255))
    match = r"no pixel of the 2 pictures to train on is of thing; 255 .* hold 0 and 1"
    with pytest.raises(DataError, match=match):
        gathered(replace(SMALL, data=folder))


def test_a_damaged_mask_does_not_end_what_divides_the_set(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "set", 12)
    path = folder / "masks/0004.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, _ = gathered(replace(SMALL, data=folder))
    assert sum(map(len, stems(found))) == 11
    (line,) = found.faults
    assert line.startswith(f"{path}: the PNG file is damaged")


def test_a_part_of_damaged_pictures_is_refused_and_the_first_fault_told(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "set", 4)
    write_lists(folder, {"train": ["0000", "0001"], "val": ["0002"], "test": ["0003"]})
    path = folder / "images/0003.png"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"there are no test pictures.*1 faults: .*0003\.png"):
        gathered(replace(SMALL, data=folder))


def test_a_set_that_is_too_small_to_be_divided_is_refused(tmp_path: Path) -> None:
    write_masks(tmp_path, 1)
    with pytest.raises(DataError, match="there are no held-out pictures"):
        gathered(replace(SMALL, data=tmp_path))


def test_a_turned_picture_and_its_mask_belong_together(tmp_path: Path, masks: Path) -> None:
    folder = tmp_path / "turned"
    shutil.copytree(masks, folder)
    picture, mask = draw(0)
    write_picture(folder / "images/0000.png", picture, orientation=3)
    write_mask(folder / "masks/0000.png", np.rot90(mask, 2).copy())
    found, _ = gathered(replace(SMALL, data=folder))
    assert not found.faults
    assert np.array_equal(found.train.original(0)[0], np.rot90(mask, 2))


def test_a_folder_must_be_named_and_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        gathered(SMALL)
    with pytest.raises(DataError, match="missing is not a folder"):
        gathered(replace(SMALL, data=tmp_path / "missing"))
