from pathlib import Path

import pytest

from training.data.errors import DataError
from training.data.listing import list_parts, of_kind, read_list


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_classes_and_pictures_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.jpg", "dog/a.PNG", "cat/z.webp", "cat/y.tiff", "Ant/x.bmp", "cat/w.gif")
    parts = list_parts(tmp_path)
    assert list(parts) == ["train"]
    named = [(name, [p.name for p in paths]) for name, paths in parts["train"].classes.items()]
    assert named == [
        ("Ant", ["x.bmp"]),
        ("cat", ["w.gif", "y.tiff", "z.webp"]),
        ("dog", ["a.PNG", "b.jpg"]),
    ]


def test_what_is_no_picture_is_counted_and_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "README.md", "stray.jpg", "__MACOSX/a/1.jpg")
    touch(tmp_path, "a/.DS_Store", "a/._1.jpg", "b/Thumbs.db", "b/more/2.jpg", ".git/config")
    listing = list_parts(tmp_path)["train"]
    assert {name: len(paths) for name, paths in listing.classes.items()} == {"a": 1, "b": 1}
    assert listing.ignored == 6  # two beside the classes, three files and a folder in them


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_a_divided_folder_gives_its_parts(tmp_path: Path, val: str) -> None:
    for part in ("test", "train", val):
        touch(tmp_path, f"{part}/a/{part}.jpg", f"{part}/b/{part}.jpg")
    parts = list_parts(tmp_path)
    assert list(parts) == ["train", "val", "test"]
    assert parts["val"].classes["b"] == [tmp_path / val / "b" / f"{val}.jpg"]


def test_a_part_may_be_missing(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg")
    assert list(list_parts(tmp_path)) == ["train", "test"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "bus/1.jpg", "test/1.jpg")
    assert list(list_parts(tmp_path)["train"].classes) == ["bus", "test", "train"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.jpg"], "holds no folders; put the pictures of each class into a folder"),
        (["a/1.jpg"], "has one class, 'a'; there must be two at least"),
        (["a/1.jpg", "b/1.txt"], r"b holds no picture \(\.jpg, "),
        (["train/a/1.jpg", "train/b/1.jpg", "vall/a/1.jpg"], "move vall elsewhere"),
        (
            ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"],
            "has more than one folder for val",
        ),
        (
            ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg"],
            "train and val must have the same classes, not b, c",
        ),
        (["train/a/1.jpg", "test/a/1.jpg"], "has one class, 'a'"),
    ],
)
def test_another_structure_is_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        list_parts(touch(tmp_path, *names))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing is not a folder"):
        list_parts(tmp_path / "missing")


def test_a_list_gives_the_first_word_of_each_line_unless_a_name_has_spaces(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_text("images/a b.png \n\nc 1\nd.jpg masks/d.png\na b\nx y\n")
    assert read_list(path) == ["a", "c", "d", "x"]
    assert read_list(path, {"a b", "c"}) == ["a b", "c", "d", "x"]


def test_files_of_a_kind_are_found_whatever_the_case_but_not_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.PNG", "c.jpg", "._a.png", ".d.png", "more/e.png")
    assert {path.name for path in of_kind(tmp_path, (".png",))} == {"a.png", "b.PNG"}
