import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.training.box_sets import (
    STORED_BOX,
    STORED_SIZE,
    draw,
    seen_bar,
    write_coco,
    write_turned,
)
from training.data.boxed import BoxedSet
from training.data.coco import read_coco
from training.data.errors import DataError

Content = dict[str, Any]


class Written:
    """A set of one 40x30 picture without objects, to be added to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "instances.json"
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        self.content: Content = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
        }
        self.image(1, "a.png")

    def image(self, number: int, name: str) -> None:
        Image.new("RGB", (40, 30)).save(self.pictures / Path(name).name)
        entry = {"id": number, "file_name": name, "width": 40, "height": 30}
        self.content["images"].append(entry)

    def object(self, box: object, category: int = 3, image: int = 1, **more: object) -> None:
        number = len(self.content["annotations"]) + 1
        entry = {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}
        self.content["annotations"].append(entry)

    def read(self, classes: tuple[str, ...] | None = None) -> BoxedSet:
        self.path.write_text(json.dumps(self.content))
        return read_coco(self.path, self.pictures, classes)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_boxes_are_read_as_they_were_drawn(tmp_path: Path) -> None:
    write_coco(tmp_path / "instances.json", tmp_path / "pictures", 3)
    found = read_coco(tmp_path / "instances.json", tmp_path / "pictures")
    assert found.classes == ("disc", "square")
    assert found.faults == ()
    assert len(found) == 3
    for seed, item in enumerate(found.items):
        drawn = draw(seed)
        assert (item.width, item.height) == drawn.picture.size
        assert item.boxes.tolist() == [list(box) for _, box in drawn.objects]
        assert [found.classes[label] for label in item.labels] == [n for n, _ in drawn.objects]


def test_crowds_are_ignored_and_pictures_without_objects_kept(written: Written) -> None:
    written.image(2, "b.png")
    written.object([1, 2, 3, 4.5], 8, iscrowd=1)
    written.object([0, 0, 40, 30])
    found = written.read()
    assert found.classes == ("cat", "dog")
    assert found.items[0].boxes.tolist() == [[1, 2, 4, 6.5], [0, 0, 40, 30]]
    assert found.items[0].labels.tolist() == [1, 0]
    assert found.items[0].ignored.tolist() == [True, False]
    assert found.items[1].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([5, 5, 0, 9], "has no area"),
        ([5, 5, -3, 9], "has no area"),
        ([45, 5, 3, 9], "lies outside the picture (40x30)"),
        ([5, 5, float("nan"), 9], "must be four numbers, x, y, width and height, not "),
        ([5, 5, 9], "must be four numbers, x, y, width and height, not [5, 5, 9]"),
        ([5, 5, "9", 9], "must be four numbers, x, y, width and height, not [5, 5, '9', 9]"),
        (None, "must be four numbers, x, y, width and height, not None"),
    ],
)
def test_damaged_boxes_are_left_out_and_named(written: Written, box: object, reason: str) -> None:
    written.object(box)
    written.object([1, 2, 3, 4])
    found = written.read()
    assert found.items[0].boxes.tolist() == [[1, 2, 4, 6]]
    (line,) = found.faults
    assert line.startswith(f"{written.pictures / 'a.png'}: box 1 (cat) {reason}")


def test_boxes_of_what_is_not_listed_are_faults(written: Written) -> None:
    written.object([1, 2, 3, 4], category=5)
    written.object([1, 2, 3, 4], image=9)
    assert written.read().faults == (
        f"{written.pictures / 'a.png'}: box 1 (None) is of the category 5, which is not listed",
        f"{written.path}: box 2 (cat) belongs to the picture 9, which is not listed",
    )


def test_entries_of_one_picture_become_one(written: Written) -> None:
    written.image(1, "a.png")
    written.image(2, "a.png")
    written.object([1, 2, 3, 4])
    written.object([1, 2, 3, 4], image=2)
    written.object([5, 6, 7, 8], image=2)
    found = written.read()
    assert found.faults == ()
    assert [item.boxes.tolist() for item in found.items] == [[[1, 2, 4, 6], [5, 6, 12, 14]]]


def test_an_id_of_two_pictures_is_a_fault(written: Written) -> None:
    written.image(1, "b.png")
    written.object([1, 2, 3, 4])
    found = written.read()
    assert [len(item.boxes) for item in found.items] == [1, 0]
    (line,) = found.faults
    assert line.startswith(f"{written.pictures / 'b.png'}: has the id 1 of a.png")


def test_pictures_are_found_without_their_folders(written: Written) -> None:
    below = written.pictures / "deep"
    below.mkdir()
    Image.new("RGB", (20, 20)).save(below / "c.png")
    written.image(2, "elsewhere/b.png")
    written.content["images"].append({"id": 3, "file_name": "deep\\c.png"})
    written.image(4, "../pictures/d.png")
    names = [item.path.relative_to(written.pictures) for item in written.read().items]
    assert names == [Path("a.png"), Path("b.png"), Path("deep/c.png"), Path("d.png")]


def test_pictures_that_cannot_be_read_are_named_once(written: Written) -> None:
    written.image(2, "b.png")
    (written.pictures / "b.png").unlink()
    written.content["images"] += [{"id": 3}]
    written.object([1, 2, 3, 4], image=2)
    found = written.read()
    assert len(found) == 1
    assert found.faults == (
        f"{written.pictures / 'b.png'}: there is no such picture",
        f"{written.pictures}: picture 3 has no file_name",
    )


def test_a_size_that_is_not_the_pictures_is_a_fault(written: Written) -> None:
    written.content["images"][0]["width"] = 30
    found = written.read()
    assert found.items[0].width == 40
    assert found.faults == (f"{written.pictures / 'a.png'}: is said to be 30x30, but is 40x30",)


def test_a_whole_size_may_be_written_with_a_point(written: Written) -> None:
    written.content["images"][0] |= {"width": 40.0, "height": 30.0}
    assert written.read().faults == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("drawn_on_stored", [True, False])
def test_boxes_cover_the_objects_of_pictures_that_exif_turns(
    written: Written, orientation: int, drawn_on_stored: bool
) -> None:
    path = written.pictures / "turned.jpg"
    write_turned(path, orientation)
    size, bar = seen_bar(path)
    # Where width and height stay, nothing tells what a box was drawn on: it is the upright one.
    is_told = orientation > 4
    width, height = STORED_SIZE if drawn_on_stored else size
    x_min, y_min, x_max, y_max = STORED_BOX if drawn_on_stored else bar
    entry = {"id": 5, "file_name": "turned.jpg", "width": width, "height": height}
    written.content["images"].append(entry)
    written.object([x_min, y_min, x_max - x_min, y_max - y_min], image=5)
    found = written.read()
    item = found.items[1]
    expected = bar if is_told else (x_min, y_min, x_max, y_max)
    assert item.boxes.tolist() == [list(expected)]
    assert (item.width, item.height) == size
    line = (
        f"{path}: is said to be 64x48, but is 48x64 once EXIF has turned it; "
        "its boxes are turned as well"
    )
    assert found.faults == ((line,) if is_told and drawn_on_stored else ())


def test_classes_are_ordered_by_their_ids(written: Written) -> None:
    written.content["categories"] = [
        {"id": 10, "name": "cow", "supercategory": "animals"},
        {"id": 2, "name": "person", "supercategory": "person"},
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 11, "name": "cow", "supercategory": "animals"},
    ]
    written.object([1, 2, 3, 4], category=11)
    found = written.read()
    assert found.classes == ("person", "cow")
    assert found.items[0].labels.tolist() == [1]
    written.object([1, 2, 3, 4], category=0)
    assert written.read().classes == ("animals", "person", "cow")


def test_other_classes_are_dropped_silently(written: Written) -> None:
    written.object([1, 2, 0, 4], category=3)
    written.object([1, 2, 3, 4], category=8)
    found = written.read(("cow", "dog"))
    assert (found.classes, found.faults) == (("cow", "dog"), ())
    assert found.items[0].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "must hold a list of entries called images"),
        ('{"images": [3]}', "must hold a list of entries called images"),
        ('{"images": [{"id": []}]}', "every entry of images must have an id"),
        ('{"images": [], "annotations": {}}', "a list of entries called annotations"),
        ('{"images": [], "annotations": [], "categories": []}', "none of its pictures"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_coco(path, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances\.json: cannot be read \(No such file"):
        read_coco(tmp_path / "instances.json", tmp_path)
