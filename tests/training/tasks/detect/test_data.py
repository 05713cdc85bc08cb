"""The pictures of a configuration: divided, varied where they are learned from, faults told."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.box_sets import draw, voc_object, write_coco, write_voc, write_voc_picture
from training.data import box_pictures, picture_memory
from training.data.errors import DataError
from training.data.pictures import prepare
from training.tasks.detect.config import Detect
from training.tasks.detect.data import Gathered, gather

SIZE, PAD = 64, 127


def gathered(config: Detect, processes: int = 1) -> tuple[Gathered, list[str]]:
    lines: list[str] = []
    return gather(config, SIZE, PAD, lines.append, processes=processes), lines


def stems(found: Gathered) -> list[set[str]]:
    parts = (found.train, found.held_out, found.test)
    return [{item.path.stem for item in part.boxed.items} for part in parts]


def test_a_folder_that_divides_itself_is_taken_as_it_is(boxes: Path) -> None:
    found, lines = gathered(Detect(data=boxes))
    assert [len(part) for part in stems(found)] == [8, 4, 6]
    assert found.classes == ("disc", "square")
    assert found.dataset == "shapes"
    assert found.described == ""
    assert [source.name for source in found.sources] == ["shapes (pictures of the user)"]
    assert lines == [f"reading {boxes}"]
    assert found.train.is_varied
    assert not found.held_out.is_varied
    assert not found.test.is_varied
    image = found.test[0].image
    assert tuple(image.shape) == (3, SIZE, SIZE)
    assert (image[:, 0] == PAD).all()  # 96x72 leaves a margin above


def test_what_a_folder_does_not_divide_is_divided_always_alike(boxes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(boxes, folder)
    shutil.rmtree(folder / "ImageSets")
    config = Detect(data=folder, held_out=0.25, test=0.2)
    first, _ = gathered(config)
    other = replace(config, training=replace(config.training, seed=5))
    assert stems(first) == stems(gathered(other)[0])
    train, held_out, test = stems(first)
    assert len(train | held_out | test) == len(train) + len(held_out) + len(test) == 18
    assert len(test) == pytest.approx(0.2 * 18, abs=1)
    assert len(held_out) == pytest.approx(0.25 * (18 - len(test)), abs=1)
    (folder / "ImageSets/Main").mkdir(parents=True)
    for name, part in (("train", train | held_out), ("test", test)):
        lines = "".join(f"{stem}\n" for stem in sorted(part))
        (folder / f"ImageSets/Main/{name}.txt").write_text(lines)
    assert stems(gathered(config)[0]) == [train, held_out, test]


def test_classes_can_be_chosen(boxes: Path) -> None:
    found, _ = gathered(Detect(data=boxes, classes=("square",)))
    assert found.classes == ("square",)
    assert len(found.test) == 6
    with pytest.raises(DataError, match="has no object called triangle"):
        gathered(Detect(data=boxes, classes=("triangle",)))


@pytest.mark.parametrize("memory_mib", [0, 64])
def test_what_is_left_out_is_told(tmp_path: Path, memory_mib: int) -> None:
    folder = write_voc(tmp_path / "set", {"train": 4, "val": 2, "test": 2})
    (folder / "JPEGImages/0001.png").write_bytes(
        (folder / "JPEGImages/0001.png").read_bytes()[:300]
    )
    picture = draw(7).picture
    bad = [voc_object("disc", (5, 5, 5 - each, 9)) for each in range(25)]
    write_voc_picture(folder, "0007", picture, bad)
    found, _ = gathered(Detect(data=folder, memory_mib=memory_mib))
    train, _, test = stems(found)
    assert train == {"0000", "0002", "0003"}
    assert len(found.train) == 3
    assert found.train.is_in_memory == (memory_mib > 0)
    assert "0007" in test
    assert sum("0007.xml: box" in line for line in found.faults) == 25
    assert sum("0001.png: the PNG file is damaged" in line for line in found.faults) == 1
    assert len(found.faults) == 26


@pytest.mark.parametrize("memory_mib", [0, 64])
def test_every_picture_is_decoded_once(
    boxes: Path, memory_mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def note(path: Path, *others: Any) -> Any:
        decoded.append(path.stem)
        return prepare(path, *others)

    monkeypatch.setattr(box_pictures, "prepare", note)
    gathered(Detect(data=boxes, memory_mib=memory_mib))
    assert sorted(decoded) == [f"{number:04}" for number in range(18)]


def test_sets_share_the_memory(tmp_path: Path) -> None:
    # 80x60x3 bytes each of the varied ones, 64x64x3 of the others: 0.220, 0.117 and 0.117 MiB.
    folder = write_voc(tmp_path / "set", {"train": 16, "val": 10, "test": 10}, shapes=1)

    def kept(memory_mib: int, processes: int = 1) -> list[bool]:
        found, _ = gathered(Detect(data=folder, memory_mib=memory_mib), processes)
        return [part.is_in_memory for part in (found.train, found.held_out, found.test)]

    assert kept(1) == [True, True, True]
    assert kept(1, processes=2) == [True, True, True]
    assert kept(1, processes=3) == [True, False, False]
    assert kept(1, processes=4) == [True, False, False]
    assert kept(1, processes=5) == [False, True, False]
    assert kept(5, processes=20) == [True, False, False]


def test_processes_share_the_cores(boxes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int | None] = []

    def note(workers: int | None) -> Any:
        threads.append(workers)
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(picture_memory, "ThreadPoolExecutor", note)
    for processes, share in ((1, 6), (2, 3), (4, 1), (8, 1)):
        threads.clear()
        gathered(Detect(data=boxes), processes)
        assert threads == [share] * 3


def test_without_pictures_to_train_on_it_is_said_what_there_is(tmp_path: Path) -> None:
    voc = write_voc(tmp_path / "kit", {"test": 2})
    coco, roboflow = tmp_path / "coco", tmp_path / "roboflow"
    write_coco(coco / "annotations/instances_val2017.json", coco / "val2017", 2)
    for name in ("valid", "test"):
        write_coco(roboflow / name / "_annotations.coco.json", roboflow / name, 2)
    for folder, parts in ((voc, "test"), (coco, "val"), (roboflow, "val and test")):
        with pytest.raises(DataError, match=f"{folder.name} has no pictures to .*only {parts}: "):
            gathered(Detect(data=folder))


@pytest.mark.parametrize(
    ("part", "name"),
    [("train", "to train on"), ("val", "held-out pictures"), ("test", "test pictures")],
)
def test_every_part_must_show_an_object(tmp_path: Path, part: str, name: str) -> None:
    folder = write_voc(tmp_path / "set", {"train": 2, "val": 2, "test": 2})
    for stem in (folder / f"ImageSets/Main/{part}.txt").read_text().split():
        path = folder / f"Annotations/{stem}.xml"
        path.write_text(path.read_text().replace("</name>", "</name><difficult>1</difficult>"))
    with pytest.raises(DataError, match=f"no object of disc, square in the 2 .*{name}"):
        gathered(Detect(data=folder))


def test_a_part_of_damaged_pictures_shows_nothing(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "set", {"train": 2, "val": 2, "test": 1})
    path = folder / "JPEGImages/0004.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"in the 0 test pictures.*0004\.png: the PNG file is dam"):
        gathered(Detect(data=folder))


def test_a_set_that_is_too_small_to_be_divided_is_refused(tmp_path: Path) -> None:
    write_voc_picture(tmp_path, "a", draw(0).picture, [voc_object("disc", (1, 1, 9, 9))])
    with pytest.raises(DataError, match="no object of disc in the 0 held-out pictures"):
        gathered(Detect(data=tmp_path))


def test_everyday_pictures_are_those_of_voc_with_its_classes(tmp_path: Path) -> None:
    parts = {"train": 4, "val": 2, "test": 3}
    write_voc(tmp_path / "voc", parts, classes=("cat", "dog"))
    found, _ = gathered(Detect(dataset="everyday", data=tmp_path))
    assert [len(part) for part in stems(found)] == [4, 2, 3]
    assert len(found.classes) == 20
    assert found.dataset == "VOC2012"
    assert any(source.name == "COCO 2017" for source in found.sources)
    assert found.described.startswith("Pictures to train on: 4 of ")


def test_a_folder_must_be_named_and_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        gathered(Detect())
    with pytest.raises(DataError, match="missing is not a folder"):
        gathered(Detect(data=tmp_path / "missing"))
