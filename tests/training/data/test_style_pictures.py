from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.style_sets import write_pictures
from training.data.errors import DataError
from training.data.style_pictures import (
    FixedPairs,
    StylePairs,
    collate,
    find_pictures,
    hold_out_pictures,
    square,
    views,
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pairs") / "photographs", 5, seed=1)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pairs") / "paintings", 3, seed=2)


def test_pictures_are_found_in_folders_within_and_nothing_else(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a/deep", 2, seed=0)
    write_pictures(tmp_path / "b", 1, seed=0)
    (tmp_path / "a/notes.txt").write_text("none")
    (tmp_path / "a/.hidden.png").write_bytes(b"")
    found = find_pictures([tmp_path / "b", tmp_path / "a"])
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "b/000.png",
        "a/deep/000.png",
        "a/deep/001.png",
    ]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        find_pictures([tmp_path])
    with pytest.raises(DataError, match="is not a folder"):
        find_pictures([tmp_path / "none"])


def test_pictures_are_held_out_always_in_the_same_way() -> None:
    paths = [Path(f"{number}.png") for number in range(20)]
    kept, held = hold_out_pictures(paths, 0.2, seed=0)
    assert len(held) == 4
    assert sorted([*kept, *held]) == sorted(paths)
    assert hold_out_pictures(paths, 0.2, seed=0) == (kept, held)
    assert hold_out_pictures(paths, 0.2, seed=1)[1] != held


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_something_is_left_on_both_sides(share: float) -> None:
    kept, held = hold_out_pictures([Path("a"), Path("b")], share, seed=0)
    assert len(kept) == len(held) == 1


def test_without_chance_the_largest_square_in_the_middle_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    found = square(tmp_path / "wide.png", 40)
    assert found.shape == (40, 40, 3)
    assert (found == (200, 100, 50)).all()


@pytest.mark.parametrize("size", [(20, 300), (300, 20), (16, 16), (700, 500)])
def test_a_square_can_be_cut_of_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    write_pictures(tmp_path, 1, seed=0, size=size)
    found = square(tmp_path / "000.png", 48, np.random.default_rng(0))
    assert found.shape == (48, 48, 3)
    assert found.flags.writeable


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"broken\.png"):
        square(tmp_path / "broken.png", 48)


def test_views_begin_with_the_square_in_the_middle(paintings: Path) -> None:
    paths = find_pictures([paintings])
    found = views(paths, 2, 32, seed=0)
    assert found.shape == (6, 32, 32, 3)
    assert (found[2] == square(paths[1], 32)).all()
    assert (found[2] != found[3]).any()
    assert (found == views(paths, 2, 32, seed=0)).all()


def test_what_is_drawn_depends_on_the_epoch_and_the_index_alone(
    photographs: Path, paintings: Path
) -> None:
    styles = views(find_pictures([paintings]), 1, 32, seed=0)
    pairs = StylePairs(find_pictures([photographs]), styles, 32, length=8, seed=3)
    assert len(pairs) == 8
    first = [pairs[index] for index in range(8)]
    assert all(a.equal(b) for a, b in zip(first[5], pairs[5], strict=True))
    assert len({int(pair.number) for pair in first}) > 1
    for pair in first:
        assert (pair.style.numpy() == styles[int(pair.number)]).all()
    pairs.set_epoch(1)
    assert not first[5].content.equal(pairs[5].content)


def test_a_crop_is_a_part_of_the_square_that_would_be_drawn(
    photographs: Path, paintings: Path
) -> None:
    styles = views(find_pictures([paintings]), 1, 32, seed=0)
    whole = StylePairs(find_pictures([photographs]), styles, 32, length=8, seed=3)
    parts = StylePairs(find_pictures([photographs]), styles, 32, length=8, seed=3, crop=8)
    places = set()
    for index in range(8):
        square_, part = whole[index].content.numpy(), parts[index].content.numpy()
        assert part.shape == (8, 8, 3)
        windows = np.lib.stride_tricks.sliding_window_view(square_, (8, 8, 3))[..., 0, :, :, :]
        found = np.argwhere((windows == part).all((2, 3, 4)))
        assert len(found)
        places.add(tuple(found[0].tolist()))
        assert parts[index].style.equal(whole[index].style)
    assert len(places) > 1


def test_fixed_pairs_take_paintings_in_turn(photographs: Path, paintings: Path) -> None:
    contents, styles = find_pictures([photographs]), find_pictures([paintings])
    pairs = FixedPairs(contents, styles, 32)
    assert len(pairs) == 5
    assert [style.name for _, style in pairs.paths] == [
        "000.png",
        "001.png",
        "002.png",
        "000.png",
        "001.png",
    ]
    assert (pairs[4].style.numpy() == square(styles[1], 32)).all()
    batch = collate([pairs[0], pairs[4]])
    assert batch.content.shape == (2, 32, 32, 3)
    assert batch.number.equal(torch.tensor([0, 4]))
