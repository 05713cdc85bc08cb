import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.training.box_sets import draw, write_coco, write_voc
from training.data.box_folders import read_boxes, split_boxed
from training.data.boxed import Boxed, BoxedSet
from training.data.errors import DataError


def lengths(parts: Mapping[str, BoxedSet]) -> dict[str, int]:
    return {part: len(boxed) for part, boxed in parts.items()}


@pytest.mark.parametrize("below", ["", "VOC2012"])
def test_a_voc_folder_is_divided_by_its_lists(tmp_path: Path, below: str) -> None:
    write_voc(tmp_path / below, {"train": 3, "val": 2, "test": 1})
    (tmp_path / "notes").mkdir()
    assert lengths(read_boxes(tmp_path)) == {"train": 3, "val": 2, "test": 1}


def test_without_a_list_train_a_voc_folder_is_learned_from_by_trainval(tmp_path: Path) -> None:
    write_voc(tmp_path, {"trainval": 3, "val": 1, "test": 2})
    assert lengths(read_boxes(tmp_path)) == {"train": 3, "test": 2}


def test_a_voc_folder_without_lists_is_one_part(tmp_path: Path) -> None:
    write_voc(tmp_path, {"something": 3})
    assert lengths(read_boxes(tmp_path)) == {"train": 3}


@pytest.mark.parametrize(
    ("stem", "pictures", "annotations"),
    [
        ("train2017", "train2017", "annotations"),
        ("train2017", "images/train2017", "annotations"),
        ("train2017", "images/train", "annotations"),
        ("train", "train", "annotations"),
        ("train", "images", "annotations"),
        ("train2017", "images", ""),
    ],
)
def test_coco_folders_are_found(tmp_path: Path, stem: str, pictures: str, annotations: str) -> None:
    folder = tmp_path / annotations
    write_coco(folder / f"instances_{stem}.json", tmp_path / pictures, 2)
    val = stem.replace("train", "val")
    beside = tmp_path / pictures.replace("train", "val")
    write_coco(folder / f"instances_{val}.json", beside, 1, first_seed=5)
    (folder / f"captions_{stem}.json").write_text("{}")
    parts = read_boxes(tmp_path)
    assert lengths(parts) == {"train": 2, "val": 1}
    assert parts["val"].items[0].path == beside / "0005.png"
    boxes = [list(box) for _, box in draw(5).objects]
    assert parts["val"].items[0].boxes.tolist() == boxes


def test_roboflows_folders_are_found(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "valid", "test")):
        folder = tmp_path / name
        write_coco(folder / "_annotations.coco.json", folder, number + 1)
    assert lengths(read_boxes(tmp_path)) == {"train": 1, "val": 2, "test": 3}


def test_parts_have_the_same_classes(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": 1, "val": 1}, shapes=1)
    parts = read_boxes(tmp_path)
    assert [boxed.classes for boxed in parts.values()] == [("disc", "square")] * 2
    assert [boxed.counts.tolist() for boxed in parts.values()] == [[1, 0], [0, 1]]


def test_coco_parts_keep_the_order_of_ids(tmp_path: Path) -> None:
    for part in ("train", "val"):
        path = tmp_path / "annotations" / f"instances_{part}.json"
        content = write_coco(path, tmp_path / "images", 1)
        content["categories"].append({"id": 1, "name": f"other_{part}"})
        path.write_text(json.dumps(content))
    parts = read_boxes(tmp_path)
    expected = ("other_train", "disc", "square", "other_val")
    assert [boxed.classes for boxed in parts.values()] == [expected] * 2
    assert parts["train"].counts.tolist() == parts["val"].counts.tolist() == [0, 2, 1, 0]


def test_classes_are_chosen_and_ordered(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": 2, "val": 1})
    parts = read_boxes(tmp_path, ("square",))
    assert [boxed.classes for boxed in parts.values()] == [("square",)] * 2
    assert parts["train"].counts.tolist() == [3]
    assert read_boxes(tmp_path, ("square", "disc"))["val"].classes == ("square", "disc")
    with pytest.raises(DataError, match="has no object called star, ring"):
        read_boxes(tmp_path, ("star", "disc", "ring"))


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_boxes(tmp_path / "missing")
    with pytest.raises(
        DataError, match=r"there is no Annotations/\*\.xml .* or train/_annotations"
    ):
        read_boxes(tmp_path)
    for name in ("a", "b"):
        write_voc(tmp_path / name, {"train": 1})
    with pytest.raises(DataError, match="holds several sets; name one of them: a, b"):
        read_boxes(tmp_path)


def test_ambiguous_coco_folders_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "annotations" / "instances_train2017.json"
    content = write_coco(path, tmp_path / "elsewhere", 1)
    with pytest.raises(DataError, match=r"instances_train2017\.json in train2017, .* or images$"):
        read_boxes(tmp_path)
    path.with_name("instances_train2014.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="keep one of instances_train2014"):
        read_boxes(tmp_path)


def test_ambiguous_roboflow_folders_are_refused(tmp_path: Path) -> None:
    for name in ("val", "valid"):
        write_coco(tmp_path / name / "_annotations.coco.json", tmp_path / name, 1)
    with pytest.raises(DataError, match="more than one folder for val"):
        read_boxes(tmp_path)


def labelled(number: int, labels: list[int]) -> Boxed:
    boxes = np.tile(np.array([0, 0, 5, 5], np.float32), (len(labels), 1))
    ignored = np.zeros(len(labels), np.bool_)
    return Boxed(Path(f"{number}.png"), 9, 9, boxes, np.array(labels, np.int64), ignored)


def names(boxed: BoxedSet) -> list[int]:
    return [int(item.path.stem) for item in boxed.items]


def test_every_class_is_on_both_sides_of_a_split() -> None:
    # Class 1 is in 4 of 40 pictures, always with the frequent class 0; 6 have no object.
    labels = [[0, 0, 1]] * 4 + [[0, 0]] * 30 + [[]] * 6
    boxed = BoxedSet(("a", "b"), tuple(map(labelled, range(40), labels)), ("x.png: damaged",))
    rest, held_out = split_boxed(boxed, 0.25, seed=0)
    assert sorted(names(rest) + names(held_out)) == list(range(40))
    assert [names(part) for part in (rest, held_out)] == [
        sorted(names(part)) for part in (rest, held_out)
    ]
    assert held_out.counts.tolist() == [2 * (1 + 8), 1]
    assert sum(not len(item.labels) for item in held_out.items) == 2
    assert (rest.faults, held_out.faults) == (("x.png: damaged",), ())
    assert names(split_boxed(boxed, 0.25, seed=0)[1]) == names(held_out)
    assert names(split_boxed(boxed, 0.25, seed=1)[1]) != names(held_out)


def test_a_picture_is_held_out_even_where_every_one_is_the_only_one_of_its_class() -> None:
    boxed = BoxedSet(("a", "b", "c"), tuple(labelled(n, [n]) for n in range(3)))
    rest, held_out = split_boxed(boxed, 0.1, seed=0)
    assert (len(rest), len(held_out)) == (2, 1)


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_fractions_that_leave_a_side_empty_are_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="must lie between 0 and 1"):
        split_boxed(BoxedSet(("a",), ()), fraction, seed=0)
