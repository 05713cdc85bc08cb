"""The plot of what is taken for what, and the sheet of masks beside the truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from tests.training.mask_sets import COLOURS
from training.data.mask_folders import read_masks
from training.data.mask_pictures import MaskPictures
from training.data.mask_sheet import comparison_sheet
from training.tasks.segment import figures
from training.tasks.segment.metrics import Quality, measure
from training.tasks.segment.predict import confusions

SIZE = 64


def _quality(matrix: Sequence[Sequence[int]] | NDArray[np.int64], resamples: int = 3) -> Quality:
    each = np.array(matrix, np.int64)
    classes = tuple(f"class_{number} $%" for number in range(len(each)))
    return measure([each], classes, resamples=resamples)


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _drawn(quality: Quality, folder: Path) -> NDArray[np.uint8]:
    figures.confusion(quality, folder / "confusion.png")
    assert [path.name for path in folder.iterdir()] == ["confusion.png"]
    return _pixels(folder / "confusion.png")


#: The darkest and the lightest of the colours.
DARK, LIGHT = (8, 48, 107), (247, 251, 255)


def _area(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(axis=-1).sum())


def _plot(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without the bar of colours beside it."""
    return picture[:, : picture.shape[1] * 4 // 5]


def test_the_plot_shows_which_class_is_taken_for_which(tmp_path: Path) -> None:
    right = _plot(_drawn(_quality([[5, 0, 0], [0, 5, 0], [0, 0, 5]]), tmp_path))
    wrong = _plot(_drawn(_quality([[0, 5, 0], [0, 5, 0], [0, 5, 0]]), tmp_path))
    assert _area(right, DARK) == pytest.approx(_area(wrong, DARK), rel=0.2)
    assert _area(right, LIGHT) == pytest.approx(2 * _area(right, DARK), rel=0.2)
    spans = [
        np.ptp(np.argwhere((picture == DARK).all(axis=-1)), axis=0) for picture in (right, wrong)
    ]
    assert spans[0][0] == pytest.approx(spans[1][0], rel=0.1)  # all rows of both
    assert spans[0][1] > 2.5 * spans[1][1]  # but all columns of one


def test_shares_are_of_the_class_not_of_all_pixels(tmp_path: Path) -> None:
    few, many = (_drawn(_quality([[n, 0], [0, 9000]], 0), tmp_path) for n in (10, 5000))
    assert _area(few, DARK) == _area(many, DARK)


def test_classes_that_are_not_there_and_many_classes_fit(tmp_path: Path) -> None:
    small = _drawn(_quality([[5, 0], [0, 0]]), tmp_path)
    assert len(np.unique(small)) > 2
    assert len(np.unique(_drawn(_quality([[0, 0], [0, 0]]), tmp_path))) > 2
    large = _drawn(_quality(np.eye(26, dtype=np.int64)), tmp_path)
    assert large.shape[0] > 2 * small.shape[0]
    assert len(np.unique(large)) > 2


class Discs(nn.Module):
    """Tells discs by their red and does not know squares."""

    def __init__(self) -> None:
        super().__init__()
        self.least = nn.Parameter(torch.tensor(150.0))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``uint8[N, H, W, 3]`` to a segmenter's outputs."""
        mask = (images[..., 0] > self.least).byte()
        return mask, torch.full_like(mask, 255)


@pytest.fixture(scope="module")
def pictures(masks: Path) -> MaskPictures:
    return MaskPictures(read_masks(masks)["train"], SIZE, SIZE, 0)


def test_the_sheet_has_pictures_truths_and_predictions(
    pictures: MaskPictures, tmp_path: Path
) -> None:
    module = Discs()
    sheets = []
    for count in (1, 3, 20):
        figures.masks(module, pictures, confusions(module, pictures), tmp_path / "m.png", count)
        sheets.append(_pixels(tmp_path / "m.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["m.png"]
    heights = [sheet.shape[0] for sheet in sheets]
    assert (heights[1] - heights[0]) * 7 == (heights[2] - heights[0]) * 2  # 8 pictures at most
    third = sheets[1].shape[1] // 3
    columns = [sheets[1][:, at * third : (at + 1) * third] for at in range(3)]
    assert pictures.masked.palette is None
    disc, square = pictures.masked.colours[1:]
    assert disc not in COLOURS
    assert [_area(column, disc) > 500 for column in columns] == [False, True, True]
    assert [_area(column, square) > 500 for column in columns] == [False, True, False]


def test_pictures_come_from_the_best_told_to_the_worst_and_void_ones_not_at_all(
    pictures: MaskPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = [40, 90, 10, 0, 70, 20, 60, 30]  # of 100 pixels, right; none are known of 0003
    each = [np.array([[n, 100 - n, 0], [0, 0, 0], [0, 0, 0]]) for n in shares]
    each[3] = np.zeros((3, 3), np.int64)
    captions: list[list[str]] = []

    def note(rows: Sequence[tuple[object, object, object, str]], *others: object) -> Image.Image:
        captions.append([caption for *_, caption in rows])
        return comparison_sheet(rows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(figures, "comparison_sheet", note)
    for count in (3, 7):
        figures.masks(Discs(), pictures, each, tmp_path / "masks.png", count)
    assert captions[0] == [
        "0001.png: mean IoU 0.45",
        "0000.png: mean IoU 0.20",
        "0002.png: mean IoU 0.05",
    ]
    order = [1, 4, 6, 0, 7, 5, 2]
    assert [caption[:4] for caption in captions[1]] == [f"{index:04}" for index in order]


def test_nothing_is_drawn_where_nothing_is_known(pictures: MaskPictures, tmp_path: Path) -> None:
    nothing = [np.zeros((3, 3), np.int64)] * 8
    figures.masks(Discs(), pictures, nothing, tmp_path / "masks.png")
    assert not list(tmp_path.iterdir())
