from pathlib import Path

import pytest

from tests.training.caption_sets import write_flickr8k, write_text
from training.data.captioned import Captioned
from training.data.errors import DataError
from training.data.flickr8k import is_flickr8k, read_flickr8k

PARTS = {"train": ["c.jpg", "a.jpg"], "dev": ["b.jpg"], "test": ["d.jpg"]}


@pytest.mark.parametrize("texts", ["", "Flickr8k_text"])
@pytest.mark.parametrize("pictures", ["Flicker8k_Dataset", "Flickr8k_Dataset", "Images", ""])
def test_the_parts_are_those_of_the_lists(tmp_path: Path, texts: str, pictures: str) -> None:
    assert not is_flickr8k(tmp_path)
    write_flickr8k(tmp_path, PARTS, texts, pictures)
    assert is_flickr8k(tmp_path)
    parts = read_flickr8k(tmp_path)
    assert parts.form == "flickr8k"
    assert parts.faults == ()
    found = [
        [item.path.name for item in part.items]
        for part in (parts.train, parts.held_out, parts.test)
    ]
    assert found == [["c.jpg", "a.jpg"], ["b.jpg"], ["d.jpg"]]
    assert parts.train.items[1] == Captioned(
        tmp_path / pictures / "a.jpg", ("A dog called a .", "a runs .")
    )


def test_captions_may_be_a_table_with_commas(tmp_path: Path) -> None:
    write_flickr8k(tmp_path, PARTS)
    (tmp_path / "Flickr8k.token.txt").unlink()
    lines = "".join(f'{name},"One, two"\n' for listed in PARTS.values() for name in listed)
    write_text(tmp_path / "captions.txt", f"image,caption\n{lines}")
    assert read_flickr8k(tmp_path).train.captions == ["One, two"] * 2


def test_what_is_missing_or_in_no_list_is_told_of(tmp_path: Path) -> None:
    write_flickr8k(tmp_path, PARTS | {"other": ["e.jpg", "f.jpg"]})
    path = tmp_path / "Flickr8k.token.txt"
    path.write_text(f"{path.read_text()}g.jpg.1#0\tA dog .\n")
    pictures = tmp_path / "Flicker8k_Dataset"
    (pictures / "a.jpg").unlink()
    write_text(tmp_path / "Flickr_8k.devImages.txt", "b.jpg\r\nb.jpg\r\nh.jpg\r\n\r\n")
    parts = read_flickr8k(tmp_path)
    assert parts.train.faults == (
        f"{pictures / 'g.jpg.1'}: there is no such picture",
        f"{pictures}: 2 pictures with captions are in none of the lists",
        f"{pictures / 'a.jpg'}: there is no such picture",
    )
    assert [item.path.name for item in parts.train.items] == ["c.jpg"]
    assert parts.held_out.faults == (f"{pictures / 'h.jpg'}: there is no such picture",)
    assert [item.path.name for item in parts.held_out.items] == ["b.jpg"]


def test_a_picture_in_two_lists_is_refused(tmp_path: Path) -> None:
    write_flickr8k(tmp_path, PARTS | {"test": ["d.jpg", "a.jpg"]})
    with pytest.raises(DataError, match=r"a\.jpg is in train and in test; keep it in one"):
        read_flickr8k(tmp_path)


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_a_missing_list_and_missing_captions_are_named(tmp_path: Path, part: str) -> None:
    write_flickr8k(tmp_path, PARTS)
    (tmp_path / f"Flickr_8k.{part}Images.txt").unlink()
    with pytest.raises(DataError, match=rf"holds no Flickr_8k\.{part}Images\.txt; .* divided by"):
        read_flickr8k(tmp_path)
    write_flickr8k(tmp_path, PARTS)
    (tmp_path / "Flickr8k.token.txt").unlink()
    with pytest.raises(DataError, match=r"holds no Flickr8k\.token\.txt or captions\.txt"):
        read_flickr8k(tmp_path)


def test_a_part_without_pictures_is_refused(tmp_path: Path) -> None:
    write_flickr8k(tmp_path, PARTS)
    (tmp_path / "Flicker8k_Dataset").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError,
        match=r"no picture of Flickr_8k\.trainImages\.txt can be read; they are looked for in .*"
        r"Flicker8k_Dataset, .*; the first of 2 faults: .*c\.jpg: there is no such picture",
    ):
        read_flickr8k(tmp_path)
    write_text(tmp_path / "Flickr_8k.trainImages.txt", "\n")
    with pytest.raises(DataError, match=r"trainImages\.txt can be read; .*, Images, images$"):
        read_flickr8k(tmp_path)
