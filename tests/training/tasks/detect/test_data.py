"""The pictures of a configuration: divided, varied where they are learned from, faults told."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.box_sets import draw, voc_object, write_voc, write_voc_picture
from training.data.errors import DataError
from training.tasks.detect.config import Detect
from training.tasks.detect.data import Gathered, gather

SIZE, PAD = 64, 127


def gathered(config: Detect) -> tuple[Gathered, list[str]]:
    lines: list[str] = []
    return gather(config, SIZE, PAD, lines.append), lines


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


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "set", {"train": 4, "val": 2, "test": 2})
    (folder / "JPEGImages/0001.png").write_bytes(
        (folder / "JPEGImages/0001.png").read_bytes()[:300]
    )
    picture = draw(7).picture
    bad = [voc_object("disc", (5, 5, 5 - each, 9)) for each in range(25)]
    write_voc_picture(folder, "0007", picture, bad)
    found, lines = gathered(Detect(data=folder))
    train, _, test = stems(found)
    assert "0001" not in train
    assert "0007" in test
    assert sum("0007" in line for line in lines) >= 15
    assert lines[-1] == "and 6 more objects or pictures like these"
    assert any("0001.png" in line for line in lines)


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
