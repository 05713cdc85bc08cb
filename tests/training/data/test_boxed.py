from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from training.data.boxed import Boxed, BoxedSet, Corners, Objects, upright_size
from training.data.errors import DataError


def boxed(stem: str, labels: list[int], ignored: list[bool] | None = None) -> Boxed:
    """A picture of 40x30 with a box for each label, at a place that tells the label."""
    boxes = np.array([[label, label, label + 5, label + 4] for label in labels], np.float32)
    return Boxed(
        Path(f"pictures/{stem}.png"),
        40,
        30,
        boxes.reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(ignored or [False] * len(labels), np.bool_),
    )


@pytest.fixture
def animals() -> BoxedSet:
    items = (boxed("a", [0, 2, 2], [False, False, True]), boxed("b", []), boxed("c", [1, 0]))
    return BoxedSet(("cat", "dog", "cow"), items, ("d.png: damaged",))


def named(boxed_set: BoxedSet) -> list[list[tuple[str, float]]]:
    """The name of every object and where it begins, which tells what it was at first."""
    return [
        [
            (boxed_set.classes[label], box[0])
            for label, box in zip(item.labels.tolist(), item.boxes.tolist(), strict=True)
        ]
        for item in boxed_set.items
    ]


def test_ignored_objects_are_not_counted(animals: BoxedSet) -> None:
    assert animals.counts.dtype == np.int64
    assert animals.counts.tolist() == [2, 1, 1]
    assert BoxedSet(("cat", "dog"), ()).counts.tolist() == [0, 0]


def test_a_subset_has_the_pictures_asked_for(animals: BoxedSet) -> None:
    chosen = animals.subset(np.array([2, 0]))
    assert [item.path.stem for item in chosen.items] == ["c", "a"]
    assert chosen.classes == animals.classes
    assert len(animals.without({"a", "z"})) == 2
    assert [item.path.stem for item in animals.without({"a", "z"}).items] == ["b", "c"]


def test_other_classes_objects_are_dropped_and_the_rest_renumbered(animals: BoxedSet) -> None:
    chosen = animals.restricted_to(("cow", "bird", "cat"))
    assert chosen.classes == ("cow", "bird", "cat")
    assert named(chosen) == [[("cat", 0), ("cow", 2), ("cow", 2)], [], [("cat", 0)]]
    assert chosen.items[0].ignored.tolist() == [False, False, True]
    assert chosen.counts.tolist() == [1, 0, 2]
    assert chosen.faults == animals.faults


def test_classes_renamed_alike_become_one(animals: BoxedSet) -> None:
    renamed = animals.renamed({"cow": "pet", "cat": "pet", "bird": "fish"})
    assert renamed.classes == ("pet", "dog")
    assert named(renamed) == [[("pet", 0), ("pet", 2), ("pet", 2)], [], [("dog", 1), ("pet", 0)]]


def test_sets_of_the_same_classes_are_merged(animals: BoxedSet) -> None:
    other = BoxedSet(animals.classes, (boxed("e", [1]),), ("f.png: damaged",))
    merged = BoxedSet.merged([animals, other])
    assert [item.path.stem for item in merged.items] == ["a", "b", "c", "e"]
    assert merged.faults == ("d.png: damaged", "f.png: damaged")


@pytest.mark.parametrize(
    ("classes", "message"),
    [(("cat", "dog", "hen"), "not in both: cow, hen"), (("cow", "dog", "cat"), "order differs")],
)
def test_sets_of_other_classes_are_not_merged(
    animals: BoxedSet, classes: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        BoxedSet.merged([animals, BoxedSet(classes, ())])
    with pytest.raises(DataError, match="no sets"):
        BoxedSet.merged([])


def test_a_class_named_twice_is_refused() -> None:
    with pytest.raises(DataError, match="named twice"):
        BoxedSet(("cat", "cat"), ())


@pytest.mark.parametrize("box", [(0, 0, 41, 5), (-1, 0, 3, 3), (3, 3, 3, 9), (np.nan, 0, 3, 3)])
def test_boxes_must_have_an_area_within_the_picture(box: Corners) -> None:
    with pytest.raises(DataError, match=r"a\.png: a box is empty or not within"):
        Boxed(
            Path("a.png"),
            40,
            30,
            np.array([box], np.float32),
            np.zeros(1, np.int64),
            np.zeros(1, np.bool_),
        )


def test_there_must_be_a_box_for_each_label() -> None:
    with pytest.raises(DataError, match="do not fit one another"):
        Boxed(
            Path("a.png"),
            40,
            30,
            np.zeros((0, 4), np.float32),
            np.zeros(1, np.int64),
            np.zeros(1, np.bool_),
        )


@pytest.mark.parametrize(
    ("box", "kept", "fault"),
    [
        ((1, 2, 40, 30), (1, 2, 40, 30), None),
        ((-2, 2, 42, 30), (0, 2, 40, 30), None),
        ((-2.5, 2, 9, 9), (0, 2, 9, 9), "stuck out of the picture (40x30) by 2.5; clipped"),
        ((40, 2, 45, 9), None, "lies outside the picture (40x30)"),
        ((4, 2, 4, 9), None, "has no area"),
        ((4, 9, 8, 2), None, "has no area"),
        ((4, 2, float("inf"), 9), None, "has a corner that is not a number"),
        ((39.99999999, 2, 41, 9), None, "lies outside the picture (40x30)"),
    ],
)
def test_boxes_are_clipped_or_left_out(box: Corners, kept: Corners | None, fault: str) -> None:
    objects = Objects(Path("a.png"), 40, 30)
    assert objects.add("cat", box, True) == fault
    found = objects.boxed(("dog", "cat"))
    assert found.boxes.tolist() == ([] if kept is None else [list(kept)])
    assert found.labels.tolist() == ([] if kept is None else [1])
    assert found.ignored.tolist() == ([] if kept is None else [True])
    assert found.boxes.dtype == np.float32
    assert found.boxes.shape[1] == 4


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 30))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    picture.save(tmp_path / "plain.webp")
    assert upright_size(tmp_path / "turned.jpg") == (30, 40)
    assert upright_size(tmp_path / "plain.webp") == (40, 30)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: there is no such picture"):
        upright_size(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"b\.png: cannot be read as a picture"):
        upright_size(tmp_path / "b.png")
    Image.new("1", (8000, 10)).save(tmp_path / "long.png")
    with pytest.raises(DataError, match=r"long\.png: the picture is 8000x10"):
        upright_size(tmp_path / "long.png")
