import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.training.caption_sets import write_pictures, write_text
from training.data.captioned import Captioned, CaptionedSet
from training.data.errors import DataError
from training.data.own_captions import has_captions, read_own_captions

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def names(parts: Mapping[str, CaptionedSet]) -> dict[str, str]:
    """The letters of each part's pictures."""
    return {p: "".join(i.path.stem for i in each.items) for p, each in parts.items()}


def write(folder: Path, *lines: str, name: str = "captions.csv", pictures: str = "") -> Path:
    write_pictures(folder / pictures, NAMES)
    write_text(folder / name, "".join(f"{line}\n" for line in lines))
    return folder


@pytest.mark.parametrize("pictures", ["", "images", "Images"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("captions.csv", ["image,caption", "a.jpg,A", "b.jpg,B", "a.jpg,Also A"]),
        ("captions.tsv", ["a.jpg\tA", "b.jpg\tB", "a.jpg\tAlso A"]),
        ("captions.txt", ["a.jpg,A", "b.jpg,B", "./a.jpg,Also A"]),
        ("metadata.csv", ["file_name,text", "a.jpg,A", "b.jpg,B", "a,Also A"]),
        (
            "captions.jsonl",
            ['{"image":"a.jpg","captions":["A","Also A"]}', '{"image":"b.jpg","caption":"B"}'],
        ),
    ],
)
def test_a_table_beside_pictures_is_one_part(
    tmp_path: Path, name: str, lines: list[str], pictures: str
) -> None:
    assert not has_captions(tmp_path)
    write(tmp_path, *lines, name=name, pictures=pictures)
    assert has_captions(tmp_path)
    parts = read_own_captions(tmp_path)
    assert names(parts) == {"train": "ab"}
    assert parts["train"].items[0] == Captioned(tmp_path / pictures / "a.jpg", ("A", "Also A"))
    assert parts["train"].faults == tuple(
        f"{tmp_path / pictures / other}: there is no caption of it" for other in ("c.jpg", "d.jpg")
    )


def test_a_name_may_begin_with_the_folder_of_the_pictures(tmp_path: Path) -> None:
    write(tmp_path, "images\\a.jpg,A", "a.jpg,Also A", pictures="images")
    (train,) = read_own_captions(tmp_path).values()
    assert train.items == (Captioned(tmp_path / "images" / "a.jpg", ("A", "Also A")),)


def test_a_column_divides_it(tmp_path: Path) -> None:
    lines = ["image,caption,split", "a.jpg,A,train", "c.jpg,C,Validation", "b.jpg,B,test"]
    write(tmp_path, *lines, "d.jpg,D,train")
    assert names(read_own_captions(tmp_path)) == {"train": "ad", "val": "c", "test": "b"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg,B,tset", r"captions\.csv: line 3: the split 'tset' is none of train, val"),
        ("b.jpg,B,", r"captions\.csv: line 3 names no split, but others do; name it"),
        ("./a.jpg,B,val", r"\./a\.jpg is in train on line 2 and in val on line 3; keep it in one"),
    ],
)
def test_a_column_that_cannot_be_meant_is_refused(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, "image,caption,split", "a.jpg,A,train", line)
    with pytest.raises(DataError, match=message):
        read_own_captions(tmp_path)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"train": "ba", "val": "c", "test": "d"}, {"train": "ba", "val": "c", "test": "d"}),
        ({"val": "c"}, {"train": "abd", "val": "c"}),
        ({"train": "a"}, {"train": "a"}),
    ],
)
def test_lists_divide_it(tmp_path: Path, lists: dict[str, str], expected: dict[str, str]) -> None:
    write(tmp_path, *(f"{name},A" for name in NAMES))
    for part, listed in lists.items():
        write_text(tmp_path / f"{part}.txt", "".join(f"{letter}.jpg\r\n" for letter in listed))
    assert names(read_own_captions(tmp_path)) == expected


def test_lists_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    write(tmp_path, *(f"{name},A" for name in NAMES[:3]))
    write_text(tmp_path / "train.txt", "a\nb\nd\n")
    write_text(tmp_path / "val.txt", "c\nb\n")
    with pytest.raises(DataError, match=r"b is in train\.txt and val\.txt; keep it in one"):
        read_own_captions(tmp_path)
    write_text(tmp_path / "val.txt", "c\n")
    parts = read_own_captions(tmp_path)
    assert names(parts) == {"train": "ab", "val": "c"}
    assert parts["train"].faults == (
        f"{tmp_path / 'd.jpg'}: there is no caption of it",
        f"{tmp_path / 'train.txt'}: there is no picture d with a caption",
    )
    write_pictures(tmp_path, ["x/a.jpg"])
    write(tmp_path, "a.jpg,A", "x/a.jpg,B")
    with pytest.raises(DataError, match=r"the same; give captions\.csv a column split"):
        read_own_captions(tmp_path)


def test_folders_divide_it(tmp_path: Path) -> None:
    for folder in ("train", "valid", "test"):
        write(tmp_path / folder, f"{folder[0]}.jpg,A")
        write_pictures(tmp_path / folder, [f"{folder[0]}.jpg"])
    assert has_captions(tmp_path)
    parts = read_own_captions(tmp_path)
    assert {part: [item.path for item in each.items] for part, each in parts.items()} == {
        "train": [tmp_path / "train" / "t.jpg"],
        "val": [tmp_path / "valid" / "v.jpg"],
        "test": [tmp_path / "test" / "t.jpg"],
    }
    assert len(parts["val"].faults) == 4
    write(tmp_path / "val", "a.jpg,A")
    with pytest.raises(DataError, match="more than one folder for val; keep one"):
        read_own_captions(tmp_path)
    shutil.rmtree(tmp_path / "val")
    write(tmp_path, "a.jpg,A")
    with pytest.raises(DataError, match="a table of captions beside the folders of parts"):
        read_own_captions(tmp_path)
    (tmp_path / "captions.csv").unlink()
    write(tmp_path / "train", "image,split,caption", "a.jpg,train,A")
    with pytest.raises(DataError, match="train is a part, but its captions name a split too"):
        read_own_captions(tmp_path)


def test_copies_in_two_parts_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "image,caption,split", "a.jpg,A,train", "b.jpg,B,train", "c.jpg,C,val")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert names(read_own_captions(tmp_path)) == {"train": "ab", "val": "c"}
    shutil.copy(tmp_path / "a.jpg", tmp_path / "c.jpg")
    with pytest.raises(DataError, match=r"a\.jpg in train and .*c\.jpg in val are the same pict"):
        read_own_captions(tmp_path)


def test_pictures_elsewhere_and_bad_lines_are_told_of(tmp_path: Path) -> None:
    write(tmp_path, "image,caption,split", "../e.jpg,E,train", "a.jpg,A, B,val", "b.jpg,B,train")
    write_text(tmp_path / "c.jpg", "no picture")
    path = tmp_path / "captions.csv"
    path.write_text(f"{path.read_text()}c.jpg,C,train\nd.jpg,,train\n")
    (train,) = read_own_captions(tmp_path).values()
    assert [item.path.name for item in train.items] == ["b.jpg"]
    assert train.faults == (
        f"{path}: line 3 has 4 values, not 3; put those that hold ',' in double quotes",
        f"{path}: line 2: '../e.jpg' leads out of {tmp_path}; name pictures from there on",
        f"{tmp_path / 'a.jpg'}: there is no caption of it",
        f"{tmp_path / 'c.jpg'}: not a JPEG, PNG, WebP, GIF, BMP or TIFF file",
        f"{tmp_path / 'd.jpg'}: there is no word in its captions",
    )


def test_several_tables_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg,A")
    write(tmp_path, "a.jpg,A", name="captions.txt")
    with pytest.raises(DataError, match=r"keep one of captions\.csv, captions\.txt"):
        read_own_captions(tmp_path)
