from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.training.mask_sets import CLASSES, COLOURS, draw, write_masks
from training.data.mask_augment import MaskAugment, MaskAugmentation
from training.data.mask_folders import read_masks
from training.data.mask_pictures import MaskPictures
from training.data.mask_sheet import comparison_sheet, contact_sheet
from training.data.masked import VOID

HEIGHT, WIDTH, PAD, GAP, LINE = 48, 64, 114, 6, 19


def has(part: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((part == colour).all(-1).any())


@pytest.fixture
def pictures(tmp_path: Path) -> MaskPictures:
    masked = read_masks(write_masks(tmp_path / "set", 5))["train"]
    augment = MaskAugment(MaskAugmentation(), HEIGHT, WIDTH, PAD)
    return MaskPictures(masked, HEIGHT, WIDTH, PAD, augment)


def test_a_sheet_shows_pictures_as_they_are_and_varied(
    pictures: MaskPictures, tmp_path: Path
) -> None:
    pictures.set_epoch(9)
    contact_sheet(pictures, tmp_path / "sheet.png", count=2, variants=3, side=WIDTH)
    assert pictures.epoch == 9
    assert [path.name for path in tmp_path.glob("*.png")] == ["sheet.png"]
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] == GAP + 4 * (WIDTH + GAP)
    assert sheet.shape[0] > 2 * (HEIGHT + GAP) + LINE
    example = MaskPictures(pictures.masked.subset([0]), HEIGHT, WIDTH, PAD)[0]
    plain, mask = example.image.permute(1, 2, 0).numpy(), example.mask.numpy()
    tile = sheet[GAP : GAP + HEIGHT, GAP : GAP + WIDTH]
    is_same = (tile == plain).all(2)
    assert is_same[mask == 0].all()  # the background is not coloured
    assert not is_same[mask == 1].any()
    assert not is_same[mask == 2].any()


def test_without_a_background_every_class_is_coloured(
    pictures: MaskPictures, tmp_path: Path
) -> None:
    masked = replace(pictures.masked, background=None)
    plain = MaskPictures(masked, HEIGHT, WIDTH, PAD)
    contact_sheet(plain, tmp_path / "sheet.png", count=1, side=WIDTH)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    tile = sheet[GAP : GAP + HEIGHT, GAP : GAP + WIDTH]
    assert (tile != plain[0].image.permute(1, 2, 0).numpy()).any(2).all()


def test_a_sheet_of_pictures_that_are_not_varied_has_one_column(
    pictures: MaskPictures, tmp_path: Path
) -> None:
    plain = MaskPictures(pictures.masked, HEIGHT, WIDTH, PAD)
    contact_sheet(plain, tmp_path / "sheet.png", count=9, side=32)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 32 + 2 * GAP
        assert sheet.height > 5 * (24 + GAP)


def test_a_comparison_has_picture_truth_and_prediction() -> None:
    picture, truth = draw(0, edges=True)
    prediction = np.full((36, 48), 2, np.uint8)
    small = Image.new("RGB", (48, 96), (1, 2, 3))
    rows = [
        (np.asarray(picture), truth, prediction, "first"),
        (np.asarray(small), np.zeros((96, 48), np.uint8), np.ones((96, 48), np.uint8), "second"),
    ]
    sheet = np.asarray(comparison_sheet(rows, COLOURS, CLASSES, side=96))
    assert sheet.shape[1] == GAP + 3 * (96 + GAP)
    top, left = GAP + 2 * LINE, [GAP + number * (96 + GAP) for number in range(3)]
    first = [sheet[top : top + 72, x : x + 96] for x in left]
    assert np.array_equal(first[0], np.asarray(picture))
    for number in range(3):
        assert (first[1][truth == number] == COLOURS[number]).all()
    void = first[1][truth == VOID]
    assert not any(has(void, colour) for colour in COLOURS)
    assert len(np.unique(void, axis=0)) == 2  # stripes
    assert (first[2] == COLOURS[2]).all()
    top += 72 + GAP + LINE
    second = [sheet[top : top + 96, x : x + 48] for x in left]
    for part, colour in zip(second, ((1, 2, 3), COLOURS[0], COLOURS[1]), strict=True):
        assert (part == colour).all()
    assert (sheet[top : top + 96, left[0] + 48 : left[1]] == 255).all()
    legend = sheet[top + 96 + GAP :]
    assert all(has(legend, colour) for colour in COLOURS)


def test_a_long_legend_takes_more_lines() -> None:
    mask = np.zeros((10, 10), np.uint8)
    rows = [(np.zeros((10, 10, 3), np.uint8), mask, mask, "")]
    palette = [(250 - number, number, 7) for number in range(40)]
    names = [f"class {number}" for number in range(40)]
    few, many = (
        np.asarray(comparison_sheet(rows, palette[:n], names[:n], side=100)) for n in (2, 40)
    )
    assert many.shape[0] >= few.shape[0] + 9 * LINE
    legend = many[100:]
    assert all(has(legend, colour) for colour in palette)
