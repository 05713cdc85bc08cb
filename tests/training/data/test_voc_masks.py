import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.mask_sets import draw, write_lists, write_mask, write_picture, write_voc_masks
from training.data.errors import DataError
from training.data.masked import VOID, MaskedSet, present, read_mask
from training.data.voc_masks import (
    CLASSES,
    PALETTE,
    gather_voc_masks,
    has_voc_masks,
    held_out_voc,
    read_voc_masks,
)


def stems(masked: MaskedSet) -> list[str]:
    return [item.path.stem for item in masked.items]


def test_the_lists_of_a_development_kit_divide_it(tmp_path: Path) -> None:
    voc = write_voc_masks(tmp_path / "VOCdevkit" / "VOC2012", "abcdef")
    write_lists(
        voc / "ImageSets" / "Segmentation",
        {"train": "ca", "val": "bz", "trainval": "abc", "test": "xy"},
    )
    for folder in (tmp_path, voc):
        parts = read_voc_masks(folder)
        assert {part: stems(masked) for part, masked in parts.items()} == {
            "train": ["c", "a"],
            "val": ["b"],
        }
    assert parts["val"].faults == ("z: there is no picture for it",)
    train = parts["train"]
    assert (train.classes, train.palette, train.background) == (CLASSES, PALETTE, "background")
    assert len(CLASSES) == 21
    assert PALETTE[15] == (192, 128, 128)  # a person
    _, mask = draw(2, edges=True)
    assert np.array_equal(read_mask(train.items[0], 21), mask)
    assert np.unique(mask).tolist() == [0, 1, 2, VOID]


@pytest.mark.parametrize(
    ("masks", "lists", "expected"),
    [
        ("", {"trainval": "abc", "val": "c", "test": "d"}, {"train": "abc", "test": "d"}),
        ("Aug", {"trainaug": "abd", "train": "a", "val": "c"}, {"train": "abd", "val": "c"}),
        ("Aug", {"train": "a", "train_aug": "bd"}, {"train": "bd"}),
        ("", {"train": "a", "train_aug": "bd"}, {"train": "a"}),
        ("", {"val": "c"}, {"train": "abcd"}),
    ],
)
def test_parts_are_the_lists_there_are(
    tmp_path: Path, masks: str, lists: dict[str, str], expected: dict[str, str]
) -> None:
    write_voc_masks(tmp_path, "abcd", masks=f"SegmentationClass{masks}")
    write_lists(tmp_path / "ImageSets" / "Segmentation", lists)
    parts = read_voc_masks(tmp_path)
    assert {part: "".join(stems(masked)) for part, masked in parts.items()} == expected


def test_several_development_kits_are_refused(tmp_path: Path) -> None:
    for year in ("VOC2007", "VOC2012"):
        write_lists(write_voc_masks(tmp_path / year, "a") / "ImageSets/Segmentation", {"val": "a"})
    with pytest.raises(DataError, match=r"holds several sets of VOC; .*VOC2007, .*VOC2012"):
        read_voc_masks(tmp_path)


def test_pictures_and_masks_are_gathered_from_anywhere(tmp_path: Path) -> None:
    write_voc_masks(tmp_path / "first", ["b", "a"])
    write_voc_masks(tmp_path / "second", ["c"], edges=False, masks="SegmentationClassAug")
    # A picture that is there twice, one of another size, and one of another kind.
    write_picture(tmp_path / "animals" / "images" / "a.jpeg", draw(9)[0])
    write_picture(tmp_path / "animals" / "images" / "b.jpg", Image.new("RGB", (50, 40)))
    write_picture(tmp_path / "animals" / "images" / "c.jpg", Image.new("L", (96, 72)))
    write_picture(tmp_path / "animals" / "images" / "dog.jpg", Image.new("RGB", (50, 40)))
    # Two masks: VOC's own is taken, wherever it is.
    augmented = tmp_path / "deep" / "er" / "SegmentationClassAug"
    for stem in ("a", "without"):
        write_mask(augmented / f"{stem}.png", np.zeros((72, 96), np.uint8), PALETTE)
    assert has_voc_masks(tmp_path)
    parts = read_voc_masks(tmp_path)
    assert list(parts) == ["train"]
    masked = parts["train"]
    assert masked == gather_voc_masks(tmp_path)
    assert [item.path.relative_to(tmp_path) for item in masked.items] == [
        Path("animals/images/a.jpeg"),
        Path("first/JPEGImages/b.jpg"),
        Path("animals/images/c.jpg"),
    ]
    assert masked.items[0].mask == tmp_path / "first" / "SegmentationClass" / "a.png"
    assert masked.faults == ()


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    write_voc_masks(tmp_path / "elsewhere", "ab")
    (tmp_path / "data").mkdir()
    for name, target in (("voc", "elsewhere"), ("again", "elsewhere"), ("circle", "data")):
        (tmp_path / "data" / name).symlink_to(tmp_path / target)
    assert has_voc_masks(tmp_path / "data")
    assert stems(gather_voc_masks(tmp_path / "data")) == ["a", "b"]


def test_lists_are_passed_over_where_all_are_gathered(tmp_path: Path) -> None:
    write_voc_masks(tmp_path, "abc")
    write_lists(tmp_path / "ImageSets" / "Segmentation", {"train": "a"})
    assert stems(gather_voc_masks(tmp_path)) == ["a", "b", "c"]


def test_a_folder_without_them_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", draw(0)[0])
    assert not has_voc_masks(tmp_path)
    with pytest.raises(DataError, match="no picture with a mask; there must be JPEGs, and PNGs"):
        read_voc_masks(tmp_path)


def test_masks_in_vocs_colours_are_read(tmp_path: Path) -> None:
    write_voc_masks(tmp_path, "a")
    path = tmp_path / "SegmentationClass" / "a.png"
    expected = read_mask(gather_voc_masks(tmp_path).items[0], 21)
    Image.open(path).convert("RGB").save(path)
    assert np.array_equal(read_mask(gather_voc_masks(tmp_path).items[0], 21), expected)


def test_names_in_capitals_are_read_and_hidden_files_are_not(tmp_path: Path) -> None:
    write_voc_masks(tmp_path, "ab")
    lists = Path("ImageSets/Segmentation")
    for folder in (tmp_path, tmp_path / "__MACOSX"):
        write_lists(folder / lists, {"train": "ab"})
    path = tmp_path / "SegmentationClass" / "a.png"
    path.rename(path.with_suffix(".PNG"))
    for name in ("JPEGImages/._b.jpg", "SegmentationClass/._b.png"):
        (tmp_path / name).write_bytes(b"-")
    (train,) = read_voc_masks(tmp_path).values()
    assert stems(train) == ["a", "b"]
    assert gather_voc_masks(tmp_path) == train
    assert train.faults == ()


@pytest.fixture
def forty(tmp_path: Path) -> MaskedSet:
    """Pictures of class 1, some with edges; of class 2, one in four; of class 3, three."""
    for number in range(40):
        mask = np.zeros((6, 8), np.uint8)
        mask[0] = 1
        mask[1] = 2 if number % 4 == 0 else 0
        mask[2] = 3 if number in (5, 10, 15) else 0
        mask[5] = VOID if number % 10 < 8 else 0
        write_picture(tmp_path / "images" / f"{number:02}.jpg", Image.new("RGB", (8, 6)))
        write_mask(tmp_path / "SegmentationClass" / f"{number:02}.png", mask, PALETTE)
    return gather_voc_masks(tmp_path)


def test_held_out_pictures_have_edges_and_show_every_class(forty: MaskedSet) -> None:
    rest, held_out = held_out_voc(forty, 12)
    assert (len(rest), len(held_out)) == (28, 12)
    assert sorted(stems(rest) + stems(held_out)) == stems(forty)
    assert stems(rest) == sorted(stems(rest))
    assert stems(held_out) == sorted(stems(held_out))
    shows = present(held_out)
    assert (shows.sum(1) < 48).all()
    # With edges there are 8 pictures of class 2, and 3 of class 3, all of which are taken.
    assert (shows > 0).sum(0)[:5].tolist() == [12, 12, 8, 3, 0]
    assert {"05", "10", "15"} < set(stems(held_out))


def test_the_rest_is_chosen_in_the_order_of_digests(forty: MaskedSet) -> None:
    def digest(stem: str) -> str:
        return hashlib.sha256(stem.encode()).hexdigest()

    with_edges = [stem for stem in stems(forty) if int(stem) % 10 < 8]
    needed = {"05", "10", "15"} | {stem for stem in with_edges if int(stem) % 4 == 0}
    others = sorted((stem for stem in with_edges if stem not in needed), key=digest)
    _, held_out = held_out_voc(forty, len(needed) + 4)
    assert set(stems(held_out)) == needed | set(others[:4])


def test_the_choice_does_not_depend_on_the_order_of_files(forty: MaskedSet) -> None:
    _, held_out = held_out_voc(forty, 12)
    _, other = held_out_voc(forty.subset(np.random.default_rng(0).permutation(40)), 12)
    assert stems(other) != stems(held_out)
    assert set(stems(other)) == set(stems(held_out))


def test_no_more_are_held_out_than_asked_for(forty: MaskedSet) -> None:
    rest, held_out = held_out_voc(forty, 2)
    assert (len(rest), len(held_out)) == (38, 2)
    assert present(held_out)[:, 3].all()  # the rarest class comes first


def test_all_that_have_edges_can_be_held_out(forty: MaskedSet) -> None:
    rest, held_out = held_out_voc(forty, 32)
    assert {int(stem) % 10 for stem in stems(held_out)} == set(range(8))
    assert {int(stem) % 10 for stem in stems(rest)} == {8, 9}


@pytest.mark.parametrize("count", [0, 33])
def test_what_cannot_be_held_out_is_refused(forty: MaskedSet, count: int) -> None:
    with pytest.raises(DataError, match=f"{count} pictures cannot be held out: 32 of 40"):
        held_out_voc(forty, count)


def test_a_damaged_mask_is_left_out_and_named(forty: MaskedSet) -> None:
    mask = forty.items[5].mask
    mask.write_bytes(mask.read_bytes()[:-30])
    rest, held_out = held_out_voc(forty, 12)
    assert (len(rest), len(held_out)) == (27, 12)
    assert "05" not in stems(rest) + stems(held_out)
    (line,) = rest.faults
    assert line.startswith(f"{mask}: the PNG file is damaged")
    assert held_out.faults == ()
