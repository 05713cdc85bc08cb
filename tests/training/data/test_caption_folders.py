from pathlib import Path

import pytest

from tests.training.caption_sets import (
    captions_of,
    coco,
    karpathy,
    write_flickr8k,
    write_json,
    write_pictures,
    write_text,
)
from training.data.caption_folders import open_captions
from training.data.captioned import CaptionedSet, Parts
from training.data.errors import DataError

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def lengths(parts: Parts) -> tuple[int, int, int]:
    return len(parts.train), len(parts.held_out), len(parts.test)


def files(captioned: CaptionedSet) -> set[Path]:
    return {item.path for item in captioned.items}


def write_own(folder: Path, count: int) -> Path:
    names = [f"{number:02}.png" for number in range(count)]
    write_pictures(folder, names)
    write_text(folder / "captions.csv", "".join(f"{name},A dog\n" for name in names))
    return folder


def write_coco(folder: Path, part: str, names: list[str], pictures: str | None = None) -> None:
    write_pictures(folder / (part if pictures is None else pictures), names)
    write_json(folder / "annotations" / f"captions_{part}.json", coco(captions_of(names)))


@pytest.mark.parametrize("below", ["", "set"])
def test_flickr8k_is_recognised(tmp_path: Path, below: str) -> None:
    folder = tmp_path / below
    write_flickr8k(folder, {"train": NAMES[:2], "dev": NAMES[2:3], "test": NAMES[3:]})
    write_json(folder / "dataset_flickr8k.json", {})
    parts = open_captions(tmp_path)
    assert parts.form == "flickr8k"
    assert lengths(parts) == (2, 1, 1)


def test_flickr8k_without_lists_is_divided_by_chance(tmp_path: Path) -> None:
    write_flickr8k(tmp_path, {"train": NAMES})
    (tmp_path / "Flickr_8k.trainImages.txt").unlink()
    parts = open_captions(tmp_path)
    assert parts.form == "own"
    assert lengths(parts) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("dataset_flickr8k.json", "Flicker8k_Dataset"),
        ("dataset_flickr30k.json", "flickr30k_images"),
        ("dataset_coco.json", "images"),
    ],
)
def test_karpathys_files_are_recognised(tmp_path: Path, name: str, pictures: str) -> None:
    write_pictures(tmp_path / pictures, NAMES)
    splits = dict(zip(NAMES, ("train", "train", "val", "test"), strict=True))
    write_json(tmp_path / name, karpathy(captions_of(NAMES), splits))
    parts = open_captions(tmp_path)
    assert parts.form == "karpathy"
    assert lengths(parts) == (2, 1, 1)


@pytest.mark.parametrize("pictures", ["train2017", "images/train2017", "images/train", "train"])
def test_coco_is_recognised_and_a_part_it_lacks_held_out(tmp_path: Path, pictures: str) -> None:
    write_coco(tmp_path, "train2017", NAMES, pictures)
    write_coco(tmp_path, "val2017", ["e.jpg", "f.jpg"])
    parts = open_captions(tmp_path, test=0.5)
    assert parts.form == "coco"
    assert lengths(parts) == (2, 2, 2)
    assert files(parts.train) | files(parts.test) == {tmp_path / pictures / n for n in NAMES}


def test_coco_needs_the_folder_of_its_pictures_and_one_file_a_part(tmp_path: Path) -> None:
    write_coco(tmp_path, "train2017", NAMES, "elsewhere")
    wanted = "train2017, images/train2017, images/train, train or images"
    with pytest.raises(DataError, match=rf"pictures of captions_train2017\.json in {wanted}"):
        open_captions(tmp_path)
    write_coco(tmp_path, "train2014", NAMES)
    with pytest.raises(DataError, match=r"several captions for train; keep one of captions_train"):
        open_captions(tmp_path)


def test_a_picture_in_two_parts_is_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, "train", NAMES, "images")
    write_coco(tmp_path, "val", NAMES[:1], "images")
    with pytest.raises(DataError, match=r"a\.jpg is in train and in val; keep it in one"):
        open_captions(tmp_path)


def test_ones_own_pictures_are_divided_by_shares_always_in_the_same_way(tmp_path: Path) -> None:
    write_own(tmp_path, 20)
    parts = open_captions(tmp_path, held_out=0.25, test=0.2)
    assert parts.form == "own"
    assert lengths(parts) == (12, 4, 4)
    every = [*parts.train.items, *parts.held_out.items, *parts.test.items]
    assert len({item.path for item in every}) == 20
    assert open_captions(tmp_path, held_out=0.25, test=0.2) == parts
    others = [open_captions(tmp_path, held_out=0.25, test=0.2, seed=seed) for seed in (1, 2, 3)]
    assert any(files(other.test) != files(parts.test) for other in others)


def test_three_pictures_are_enough_and_two_are_not(tmp_path: Path) -> None:
    assert lengths(open_captions(write_own(tmp_path / "three", 3))) == (1, 1, 1)
    with pytest.raises(DataError, match="1 pictures with captions cannot be divided: give more"):
        open_captions(write_own(tmp_path / "two", 2))


def test_a_part_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    write_own(tmp_path, 3)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"left for train; the first of 3 faults: .*00\.png: there is no such pict"
    ):
        open_captions(tmp_path)
    write_own(tmp_path, 3)
    write_text(tmp_path / "captions.csv", "image,caption,split\n00.png,A,val\n")
    with pytest.raises(DataError, match="has a part val, but none to learn from, called train"):
        open_captions(tmp_path)


def test_what_is_none_of_these_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is not a folder"):
        open_captions(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no captions in a form .*: there is no captions\.csv, "):
        open_captions(tmp_path)
    write_own(tmp_path / "a", 3)
    write_own(tmp_path / "__MACOSX", 3)
    assert lengths(open_captions(tmp_path)) == (1, 1, 1)
    with pytest.raises(DataError, match=r"captions\.csv is a file; name the folder that holds it"):
        open_captions(tmp_path / "a" / "captions.csv")
    write_own(tmp_path / "b", 3)
    with pytest.raises(DataError, match="holds several sets; name one of them: a, b"):
        open_captions(tmp_path)
