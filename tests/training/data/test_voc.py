from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.training.box_sets import (
    STORED_BOX,
    STORED_SIZE,
    draw,
    seen_bar,
    voc_object,
    write_turned,
    write_voc,
    write_voc_picture,
)
from training.data.errors import DataError
from training.data.voc import parts, read_voc

PICTURE = Image.new("RGB", (40, 30))


def test_boxes_cover_the_pixels_of_the_objects(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": 2})
    found = read_voc(tmp_path, "train")
    assert found.classes == ("disc", "square")
    assert found.faults == ()
    for seed, item in enumerate(found.items):
        drawn = draw(seed)
        assert (item.width, item.height) == drawn.picture.size
        assert item.boxes.tolist() == [list(box) for _, box in drawn.objects]
        assert [found.classes[label] for label in item.labels] == [n for n, _ in drawn.objects]
        assert not item.ignored.any()
        pixels = np.asarray(Image.open(item.path))
        for (name, _), box in zip(drawn.objects, item.boxes.astype(int), strict=True):
            if name == "square":  # every pixel of the box and none beside it
                x_min, y_min, x_max, y_max = box
                blue = pixels[..., 2] == 220
                assert blue[y_min:y_max, x_min:x_max].all()
                assert not blue[y_min:y_max, max(0, x_min - 1) : x_min].any()
                assert not blue[y_min:y_max, x_max : x_max + 1].any()


def test_lists_name_the_pictures_of_a_part(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": 2, "val": 1})
    lists = tmp_path / "ImageSets" / "Main"
    (lists / "disc_train.txt").write_text("\ufeffdir/0001.jpg -1\n\nC:\\dir\\0000  1\n0001\n")
    assert parts(tmp_path) == ("disc_train", "train", "val")
    assert [i.path.stem for i in read_voc(tmp_path, "disc_train").items] == ["0001", "0000"]
    assert [i.path.stem for i in read_voc(tmp_path, "val").items] == ["0002"]
    assert len(read_voc(tmp_path)) == 3
    with pytest.raises(DataError, match=r"test\.txt cannot be read; .* disc_train, train, val"):
        read_voc(tmp_path, "test")


def test_parts_of_objects_are_no_objects(tmp_path: Path) -> None:
    head = f"<part>{voc_object('head', (3, 3, 6, 6))[8:-9]}</part>"
    write_voc_picture(tmp_path, "a", PICTURE, [voc_object("person", (1, 1, 20, 20), head)])
    found = read_voc(tmp_path)
    assert found.classes == ("person",)
    assert found.items[0].boxes.tolist() == [[0, 0, 20, 20]]


def test_difficult_objects_are_ignored(tmp_path: Path) -> None:
    objects = [
        voc_object("cat", (1, 1, 20, 20), f"<difficult>{difficult}</difficult>")
        for difficult in (0, 1)
    ]
    write_voc_picture(tmp_path, "a", PICTURE, objects)
    assert read_voc(tmp_path).items[0].ignored.tolist() == [False, True]


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ((5, 5, 5, 5), "has no area (5 5 5 5)"),
        ((5, 5, 9, 4), "has no area (5 5 9 4)"),
        (("x", 5, 9, 9), "must have four numbers as its corners, not 'x', '5', '9', '9'"),
        (("nan", 5, 9, 9), "has a corner that is not a number"),
        (("", 5, 9, 9), "must have four numbers as its corners, not None, '5', '9', '9'"),
        ((42, 5, 50, 9), "lies outside the picture (40x30)"),
    ],
)
def test_damaged_boxes_are_left_out_and_named(
    tmp_path: Path, corners: tuple[object, ...], reason: str
) -> None:
    objects = [voc_object("cat", (1, 1, 9, 9)), voc_object("dog", corners)]
    path = write_voc_picture(tmp_path, "a", PICTURE, objects)
    path.write_text(path.read_text().replace("<xmin></xmin>", "<xmin/>"))
    found = read_voc(tmp_path)
    assert found.classes == ("cat",)
    assert found.items[0].boxes.tolist() == [[0, 0, 9, 9]]
    expected = reason.replace("None", "''")
    assert found.faults == (f"{path}: box 2 (dog) {expected}",)


def test_a_missing_corner_or_name_is_a_fault(tmp_path: Path) -> None:
    objects = [voc_object("cat", (1, 1, 9, 9)), voc_object("", (1, 1, 9, 9))]
    path = write_voc_picture(tmp_path, "a", PICTURE, objects)
    path.write_text(path.read_text().replace("<ymax>9</ymax>", "", 1))
    found = read_voc(tmp_path)
    assert found.faults == (
        f"{path}: box 1 (cat) must have four numbers as its corners, not '1', '1', '9', None",
        f"{path}: box 2 (without a name) has no class",
    )
    assert [len(item.boxes) for item in found.items] == [0]


def test_boxes_that_stick_out_are_clipped(tmp_path: Path) -> None:
    objects = [voc_object("cat", (0, 0, 42, 9)), voc_object("cat", (10, 10, 45, 32))]
    path = write_voc_picture(tmp_path, "a", PICTURE, objects)
    found = read_voc(tmp_path)
    assert found.items[0].boxes.tolist() == [[0, 0, 40, 9], [9, 9, 40, 30]]
    fault = "stuck out of the picture (40x30) by 5; clipped"
    assert found.faults == (f"{path}: box 2 (cat) {fault}",)


def test_the_size_is_the_pictures_own(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = write_voc_picture(tmp_path, "a", PICTURE, [voc_object("cat", (1, 1, 9, 40))], ".jpg")
    path.write_text(path.read_text().replace("<width>40<", "<width>31<"))
    picture = tmp_path / "JPEGImages" / "a.jpg"
    PICTURE.save(picture, exif=exif)
    found = read_voc(tmp_path)
    assert found.items[0].boxes.tolist() == [[0, 0, 9, 40]]
    assert (found.items[0].width, found.items[0].height) == (30, 40)
    assert found.faults == (f"{picture}: is said to be 31x30, but is 30x40",)


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("drawn_on_stored", [True, False])
def test_boxes_cover_the_objects_of_pictures_that_exif_turns(
    tmp_path: Path, orientation: int, drawn_on_stored: bool
) -> None:
    path = tmp_path / "JPEGImages/a.jpg"
    write_turned(path, orientation)
    size, bar = seen_bar(path)
    width, height = STORED_SIZE if drawn_on_stored else size
    x_min, y_min, x_max, y_max = STORED_BOX if drawn_on_stored else bar
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/a.xml").write_text(
        f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        f"{voc_object('bar', (x_min + 1, y_min + 1, x_max, y_max))}</annotation>"
    )
    found = read_voc(tmp_path)
    assert found.items[0].boxes.tolist() == [list(bar)]
    assert (found.items[0].width, found.items[0].height) == size == (48, 64)
    assert len(found.faults) == drawn_on_stored
    assert all(line.endswith("its boxes are turned as well") for line in found.faults)


def test_other_classes_are_dropped_silently(tmp_path: Path) -> None:
    objects = [voc_object("dog", (1, 1, 1, 1)), voc_object("cat", (1, 1, 9, 9))]
    write_voc_picture(tmp_path, "a", PICTURE, objects)
    write_voc_picture(tmp_path, "b", PICTURE, [voc_object("dog", (1, 1, 9, 9))])
    found = read_voc(tmp_path, classes=("cow", "cat"))
    assert found.classes == ("cow", "cat")
    assert found.faults == ()
    assert [item.labels.tolist() for item in found.items] == [[1], []]


def test_a_picture_is_found_by_the_name_in_the_file(tmp_path: Path) -> None:
    path = write_voc_picture(tmp_path, "a", PICTURE, [])
    path.rename(path.with_name("annotation-1.xml"))
    assert read_voc(tmp_path).items[0].path == tmp_path / "JPEGImages" / "a.png"


def test_pictures_and_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "Annotations"
    for stem in "abcde":
        write_voc_picture(tmp_path, stem, PICTURE, [])
    (tmp_path / "JPEGImages" / "a.png").unlink()
    (tmp_path / "JPEGImages" / "b.png").write_bytes(b"no picture")
    (folder / "c.xml").write_text("<annotation><object>")
    (folder / "d.xml").write_bytes(b'<?xml version="1.0" encoding="nonsense"?><annotation/>')
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join("abcdef"))
    found = read_voc(tmp_path, "train")
    assert [item.path.stem for item in found.items] == ["e"]
    starts = (
        f"{folder / 'a.xml'}: there is no picture a",
        f"{tmp_path / 'JPEGImages' / 'b.png'}: cannot be read as a picture",
        f"{folder / 'c.xml'}: cannot be read (no element found",
        f"{folder / 'd.xml'}: cannot be read (",
        f"{folder / 'f.xml'}: there is no such file",
    )
    assert len(found.faults) == len(starts)
    for line, start in zip(found.faults, starts, strict=True):
        assert line.startswith(start)


def test_a_doctype_is_refused(tmp_path: Path) -> None:
    path = write_voc_picture(tmp_path, "a", PICTURE, [])
    write_voc_picture(tmp_path, "b", PICTURE, [])
    entities = '<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">'
    path.write_text(f"<!DOCTYPE x [{entities}]><annotation><filename>&b;</filename></annotation>")
    found = read_voc(tmp_path)
    assert [item.path.stem for item in found.items] == ["b"]
    assert found.faults == (f"{path}: cannot be read (a DOCTYPE is not read)",)


def test_folders_that_are_no_voc_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a folder Annotations"):
        read_voc(tmp_path)
    write_voc_picture(tmp_path, "a", PICTURE, [])
    (tmp_path / "JPEGImages" / "a.png").unlink()
    with pytest.raises(DataError, match="no picture of Annotations can be read; the first of 1"):
        read_voc(tmp_path)
