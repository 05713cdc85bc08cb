from pathlib import Path

import pytest

from tests.training.caption_sets import write_pictures
from training.data.captioned import (
    Captioned,
    CaptionedSet,
    Parts,
    check_apart,
    gather,
    locate,
    part_of,
    sound,
    split_captioned,
)
from training.data.errors import DataError


def a_set(*names: str, faults: tuple[str, ...] = ()) -> CaptionedSet:
    return CaptionedSet(tuple(Captioned(Path(name), (f"A {name}",)) for name in names), faults)


def test_pictures_come_with_their_captions_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.jpg", "e.png"])
    (tmp_path / "c.png").write_text("not a picture")
    (tmp_path / "d.png").write_bytes(b"")
    (tmp_path / "f.png").mkdir()
    captions = {
        "a.png": ["A  dog\n. ", "A cat"],
        "b.jpg": ["", " . ", "One"],
        "c.png": ["A"],
        "d.png": ["A"],
        "e.png": [" ", "?!"],
        "f.png": ["A"],
        "g.png": ["A"],
    }
    captioned = gather({tmp_path / name: texts for name, texts in captions.items()})
    assert captioned.items == (
        Captioned(tmp_path / "a.png", ("A dog .", "A cat")),
        Captioned(tmp_path / "b.jpg", ("One",)),
    )
    assert captioned.captions == ["A dog .", "A cat", "One"]
    assert captioned.faults == (
        f"{tmp_path / 'b.jpg'}: 2 of its captions have no word",
        f"{tmp_path / 'c.png'}: not a JPEG, PNG, WebP, GIF, BMP or TIFF file",
        f"{tmp_path / 'd.png'}: the bytes are empty",
        f"{tmp_path / 'e.png'}: there is no word in its captions",
        f"{tmp_path / 'f.png'}: cannot be read (Is a directory)",
        f"{tmp_path / 'g.png'}: there is no such picture",
    )


def test_damaged_pictures_are_left_out_once_decoded(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "c.png"]
    write_pictures(tmp_path, names)
    damaged = tmp_path / "b.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    captioned = gather({tmp_path / name: ["A"] for name in names})
    assert len(captioned) == 3
    done: list[tuple[int, int]] = []
    kept = sound(captioned, lambda count, of: done.append((count, of)))
    assert [item.path.name for item in kept.items] == ["a.png", "c.png"]
    (fault,) = kept.faults
    assert fault.startswith(f"{damaged}: the PNG file is damaged")
    assert done == [(3, 3)]


def test_subsets_have_an_order_and_parts_their_faults() -> None:
    train = a_set("a", "b", "c", faults=("x",))
    assert [item.path.name for item in train.subset([2, 0]).items] == ["c", "a"]
    assert train.subset([1]).faults == ("x",)
    parts = Parts(train, a_set("d", faults=("y",)), a_set("e"), "own")
    assert parts.faults == ("x", "y")


def test_a_share_is_held_out_by_chance() -> None:
    names = [f"{number:02}" for number in range(20)]
    whole = a_set(*names, faults=("x",))
    rest, held_out = split_captioned(whole, 0.2, seed=3)
    assert (len(rest), len(held_out)) == (16, 4)
    assert (rest.faults, held_out.faults) == (("x",), ())
    for part in (rest, held_out):
        found = [item.path.name for item in part.items]
        assert found == sorted(found)
    assert sorted(i.path.name for i in (*rest.items, *held_out.items)) == names
    assert split_captioned(whole, 0.2, seed=3) == (rest, held_out)
    assert any(split_captioned(whole, 0.2, seed)[1] != held_out for seed in range(4, 8))
    with pytest.raises(DataError, match="1 pictures with captions cannot be divided"):
        split_captioned(a_set("a"), 0.2, seed=0)
    with pytest.raises(DataError, match="must lie between 0 and 1"):
        split_captioned(whole, 1, seed=0)


def test_a_picture_in_two_parts_is_refused() -> None:
    check_apart({"train": a_set("x/a", "x/b"), "val": a_set("x/c", "y/a")}, Path("set"))
    with pytest.raises(DataError, match=r"^set: a is in train and in test; keep it in one"):
        check_apart({"train": a_set("x/a", "x/b"), "test": a_set("x/a")}, Path("set"))


def test_pictures_are_found_by_names_of_several_kinds(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["x/a.jpg", "y/a.jpg", "x/z/b.PNG", "y/c.jpg", "y/d.v2.jpeg"])
    folders = [tmp_path / "x", tmp_path / "y"]
    for name, found in (
        ("a.jpg", "x/a.jpg"),
        ("./a.jpg", "x/a.jpg"),
        ("z\\b.PNG", "x/z/b.PNG"),
        ("z/b", "x/z/b.PNG"),
        ("c.jpg", "y/c.jpg"),
        ("c", "y/c.jpg"),
        ("d.v2", "y/d.v2.jpeg"),
        ("nothing.jpg", "x/nothing.jpg"),
        ("nothing", "x/nothing"),
    ):
        assert locate(name, folders) == tmp_path / found


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "x/../../a.jpg", "..\\a.jpg", "/etc/a.jpg", "C:\\a.jpg", "\\\\server\\a\\b.jpg"],
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path, ["a.jpg", "x/b.jpg"])
    with pytest.raises(DataError, match=r"leads out of .*x; name pictures from there on"):
        locate(name, [tmp_path / "x"])
    for empty in ("", ".", "/"):
        with pytest.raises(DataError, match="has no name"):
            locate(empty, [tmp_path])


def test_parts_have_several_names() -> None:
    names = ("train", " Val", "valid", "validation", "DEV", "test", "restval")
    assert [part_of(name) for name in names] == [
        "train",
        "val",
        "val",
        "val",
        "val",
        "test",
        "train",
    ]
    with pytest.raises(DataError, match="the split 'trian' is none of train, val, valid, "):
        part_of("trian")
