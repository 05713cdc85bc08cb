from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.mask_sets import (
    CLASSES,
    COLOURS,
    draw,
    write_camvid,
    write_lists,
    write_mask,
    write_masks,
    write_picture,
    write_voc_masks,
)
from training.data.camvid import CLASSES as CAMVID
from training.data.errors import DataError
from training.data.mask_folders import Labels, read_labels, read_masks, split_masked
from training.data.masked import VOID, Coding, MaskedSet, present, read_mask
from training.data.voc_masks import CLASSES as VOC


def stems(parts: Mapping[str, MaskedSet]) -> dict[str, list[str]]:
    return {part: [item.path.stem for item in masked.items] for part, masked in parts.items()}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
@pytest.mark.parametrize("below", ["", "mine"])
def test_a_folder_of_ones_own_is_one_part(tmp_path: Path, below: str, suffix: str) -> None:
    folder = write_masks(tmp_path / below, 3, suffix=suffix)
    (folder / "images" / "notes.txt").write_text("-")
    parts = read_masks(tmp_path)
    assert stems(parts) == {"train": ["0000", "0001", "0002"]}
    train = parts["train"]
    assert (train.classes, train.background, train.palette) == (CLASSES, "background", None)
    assert train.faults == ()
    assert np.array_equal(read_mask(train.items[2], 3), draw(2)[1])


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"train": "10", "val": "2", "test": "34"}, {"train": "10", "val": "2", "test": "34"}),
        ({"test": "13"}, {"train": "024", "test": "13"}),
        ({"train": "4"}, {"train": "4"}),
    ],
)
def test_lists_divide_it(
    tmp_path: Path, lists: dict[str, str], expected: dict[str, list[str]]
) -> None:
    write_masks(tmp_path, 5)
    write_lists(tmp_path, {p: [f"images/000{n}.png" for n in names] for p, names in lists.items()})
    wanted = {part: [f"000{number}" for number in names] for part, names in expected.items()}
    assert stems(read_masks(tmp_path)) == wanted


def test_names_in_lists_may_have_spaces(tmp_path: Path) -> None:
    write_masks(tmp_path, 2)
    for path in [*tmp_path.glob("*/*.png")]:
        path.rename(path.with_stem(f"my photo {path.stem}"))
    write_lists(tmp_path, {"val": ["my photo 0001"]})
    assert stems(read_masks(tmp_path)) == {"train": ["my photo 0000"], "val": ["my photo 0001"]}


def test_names_in_capitals_are_read_and_hidden_files_are_not(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "mine", 2)
    write_masks(tmp_path / "__MACOSX", 1)
    for name in ("images", "masks"):
        path = folder / name / "0001.png"
        path.rename(path.with_suffix(".PNG"))
        path.with_name("._0000.png").write_bytes(b"-")
    (train,) = read_masks(tmp_path).values()
    assert [item.mask.name for item in train.items] == ["0000.png", "0001.PNG"]
    assert train.faults == ()


def test_names_that_only_a_list_has_are_told_of(tmp_path: Path) -> None:
    write_masks(tmp_path, 2)
    (tmp_path / "masks" / "0001.png").unlink()
    write_lists(tmp_path, {"train": ["0000", "0001"], "val": ["0000x"]})
    with pytest.raises(DataError, match="no picture with a mask is left for val"):
        read_masks(tmp_path)
    (tmp_path / "val.txt").unlink()
    (train,) = read_masks(tmp_path).values()
    assert train.faults == (
        f"{tmp_path / 'images' / '0001.png'}: there is no mask for it",
        f"{tmp_path / 'train.txt'}: there is no picture 0001 with a mask",
    )


def test_a_picture_in_two_lists_is_refused(tmp_path: Path) -> None:
    write_masks(tmp_path, 3)
    write_lists(tmp_path, {"train": ["0000", "0001"], "test": ["0001"]})
    with pytest.raises(DataError, match="0001 is in more than one of the lists"):
        read_masks(tmp_path)


@pytest.mark.parametrize("labels_below", [True, False])
def test_folders_divide_it(tmp_path: Path, labels_below: bool) -> None:
    for number, name in enumerate(("test", "train", "valid")):
        write_masks(tmp_path / name, number + 1, first_seed=10 * number)
    if not labels_below:
        (tmp_path / "labels.txt").write_text("void\nRound\nsquare\n")
    parts = read_masks(tmp_path)
    assert stems(parts) == {
        "train": ["0010", "0011"],
        "val": ["0020", "0021", "0022"],
        "test": ["0000"],
    }
    assert list(parts) == ["train", "val", "test"]
    for masked in parts.values():
        assert masked.classes == (CLASSES if labels_below else ("Round", "square"))
        assert masked.background == ("background" if labels_below else None)


def test_folders_of_which_none_is_train_are_refused(tmp_path: Path) -> None:
    write_masks(tmp_path / "val", 1)
    with pytest.raises(DataError, match="has a folder val, but none called train"):
        read_masks(tmp_path)
    write_masks(tmp_path / "valid", 1)
    with pytest.raises(DataError, match="more than one folder for val"):
        read_masks(tmp_path)


@pytest.mark.parametrize("below", ["", "CamVid"])
def test_camvid_is_recognised(tmp_path: Path, below: str) -> None:
    write_camvid(tmp_path / below)
    parts = read_masks(tmp_path)
    assert {part: len(masked) for part, masked in parts.items()} == {
        "train": 3,
        "val": 1,
        "test": 2,
    }
    assert parts["train"].classes == CAMVID


def test_voc_is_recognised(tmp_path: Path) -> None:
    voc = write_voc_masks(tmp_path / "VOCdevkit" / "VOC2012", "abc")
    write_lists(voc / "ImageSets" / "Segmentation", {"train": "ab", "val": "c"})
    parts = read_masks(tmp_path)
    assert stems(parts) == {"train": ["a", "b"], "val": ["c"]}
    assert parts["train"].classes == VOC


def test_what_is_none_of_these_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is not a folder"):
        read_masks(tmp_path / "nothing")
    with pytest.raises(DataError, match="no masks in a form that is read: there is no images, mas"):
        read_masks(tmp_path)
    write_masks(tmp_path / "a", 1)
    write_masks(tmp_path / "b", 1)
    with pytest.raises(DataError, match="holds several sets; name one of them: a, b"):
        read_masks(tmp_path)
    (tmp_path / "a" / "masks" / "0000.png").unlink()
    with pytest.raises(DataError, match=r"a: there is no picture with a mask; .*0000\.png: there"):
        read_masks(tmp_path / "a")


def test_a_label_file_may_name_void_and_colours(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffVoid #000000\ntraffic light\t#804080\nroad #FF0001 \n\n")
    assert read_labels(path) == Labels(
        ("traffic light", "road"), Coding((1, 2), ((128, 64, 128), (255, 0, 1)))
    )
    path.write_text("road\nvoid\nvoid #123456\ncar\n")
    assert read_labels(path) == Labels(("road", "car"), Coding((0, 3)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name 2 to 255 classes, not 0"),
        ("road\nvoid\n", "must name 2 to 255 classes, not 1"),
        ("".join(f"{number}\n" for number in range(256)), "has 256 lines; there may be 255"),
        ("a\n" + "void\n" * 254 + "b\n", "has 256 lines; there may be 255"),
        ("a\n\nb\n", "line 2 names no class"),
        ("a\n #102030\n", "line 2 names no class"),
        ("a\nb\na\n", "names a twice"),
        ("a #102030\nb\n", "must give every class a colour of its own, or none"),
        ("a #102030\nb #102030\n", "must give every class a colour of its own, or none"),
    ],
)
def test_a_label_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=rf"labels\.txt.*{message}"):
        read_labels(tmp_path / "labels.txt")


def test_a_missing_label_file_is_named(tmp_path: Path) -> None:
    write_masks(tmp_path, 1)
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(DataError, match=r"labels\.txt cannot be read; it must have a class a line"):
        read_masks(tmp_path)


def test_masks_in_colours_are_read_where_the_labels_have_them(tmp_path: Path) -> None:
    picture, mask = draw(0)
    write_picture(tmp_path / "images" / "a.png", picture)
    path = write_mask(tmp_path / "masks" / "a.png", mask, COLOURS)
    Image.open(path).convert("RGB").save(path)
    (tmp_path / "labels.txt").write_text("background\ndisc\nsquare\n")
    with pytest.raises(DataError, match=r"a\.png: is a picture in colours; .* labels\.txt must"):
        read_masks(tmp_path)
    lines = ["void #000000", "disc #dc2828", "square #283cdc"]
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    (masked,) = read_masks(tmp_path).values()
    expected = np.choose(mask, np.array([VOID, 0, 1], np.uint8))
    assert np.array_equal(read_mask(masked.items[0], 2), expected)
    assert masked.palette == COLOURS[1:]


@pytest.fixture
def twenty(tmp_path: Path) -> MaskedSet:
    """All show class 0, every fifth class 1 and two class 2."""
    for number in range(20):
        mask = np.zeros((6, 8), np.uint8)
        mask[1] = 1 if number % 5 == 0 else 0
        mask[2] = 2 if number in (3, 4) else 0
        write_picture(tmp_path / "images" / f"{number:02}.png", Image.new("RGB", (8, 6)))
        write_mask(tmp_path / "masks" / f"{number:02}.png", mask)
    write_mask(tmp_path / "masks" / "19.png", np.full((6, 8), VOID, np.uint8))
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    (tmp_path / "masks" / "18.png").unlink()
    return read_masks(tmp_path)["train"]


def test_rare_classes_are_on_both_sides_of_a_split(twenty: MaskedSet) -> None:
    rest, held_out = split_masked(twenty, 0.25, seed=1)
    assert (len(rest), len(held_out)) == (14, 5)
    assert (present(rest) > 0).sum(0)[1:].tolist() == [3, 1]
    assert (present(held_out) > 0).sum(0)[1:].tolist() == [1, 1]
    assert len(rest.faults) == 1
    assert held_out.faults == ()
    names = [item.path.stem for part in (rest, held_out) for item in part.items]
    assert sorted(names) == [item.path.stem for item in twenty.items]
    assert split_masked(twenty, 0.25, seed=1) == (rest, held_out)
    assert any(split_masked(twenty, 0.25, seed=seed) != (rest, held_out) for seed in range(2, 6))


@pytest.mark.parametrize("share", [0, 1])
def test_a_share_must_leave_something_on_both_sides(twenty: MaskedSet, share: float) -> None:
    with pytest.raises(DataError, match="must lie between 0 and 1"):
        split_masked(twenty, share, seed=0)


def test_a_damaged_mask_is_left_out_of_a_split_and_named(twenty: MaskedSet) -> None:
    mask = twenty.items[7].mask
    mask.write_bytes(mask.read_bytes()[:-30])
    rest, held_out = split_masked(twenty, 0.25, seed=1)
    others = twenty.without({"07"})
    mask.unlink()
    expected, _ = split_masked(others, 0.25, seed=1)
    assert rest.items == expected.items
    assert len(rest) + len(held_out) == len(others) == 18
    assert rest.faults[:-1] == twenty.faults
    assert rest.faults[-1].startswith(f"{mask}: cannot be read as a PNG")
    assert held_out.faults == ()
