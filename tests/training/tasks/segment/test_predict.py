"""Masks at the size of the originals, as the service tells them, and counted there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.masks import to_original
from tests.training.mask_sets import draw, write_mask, write_masks, write_picture
from training.data import mask_pictures
from training.data.mask_folders import read_masks
from training.data.mask_pictures import MaskPictures
from training.data.masked import VOID, Masked, read_mask
from training.recipe import Part
from training.shares import of_all
from training.tasks.segment import predict as predictions
from training.tasks.segment.metrics import confusion
from training.tasks.segment.predict import confusions, item, mask_of, predict

SIZE = 64


class Colours(nn.Module):
    """Tells discs by their red and squares by their blue."""

    def __init__(self) -> None:
        super().__init__()
        self.least = nn.Parameter(torch.tensor(150.0))
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``uint8[N, H, W, 3]`` to a segmenter's outputs."""
        self.batches.append(len(images))
        is_red, is_blue = (images[..., channel] > self.least for channel in (0, 2))
        mask = is_red.byte() + 2 * (is_blue & ~is_red).byte()
        return mask, torch.full_like(mask, 255)


@pytest.fixture(scope="module")
def pictures(masks: Path) -> MaskPictures:
    return MaskPictures(read_masks(masks)["train"], SIZE, SIZE, 0)


def test_masks_have_the_size_of_the_originals_and_count_there(pictures: MaskPictures) -> None:
    module = Colours()
    found = dict(predict(module, pictures))
    assert list(found) == list(range(8))
    each = confusions(module, pictures)
    for index, mask in found.items():
        truth = read_mask(pictures.masked.items[index], 3)
        assert mask.shape == truth.shape == (72, 96)
        assert mask.dtype == np.uint8
        known = truth != VOID
        assert not known.all()
        assert (mask == truth)[known].mean() > 0.97  # 96 pixels became 64 and 96 again
        assert np.array_equal(each[index], confusion(truth, mask, 3))
        assert each[index].sum() == known.sum()


def test_padding_is_cut_off_and_the_rest_enlarged_as_the_service_does(
    pictures: MaskPictures,
) -> None:
    module = Colours()
    placement = pictures.original(3)[1]
    assert placement.offset[1] > 0
    [small], _ = module(torch.from_numpy(item(pictures, 3))[None])
    assert np.array_equal(mask_of(module, pictures, 3), to_original(small.numpy(), placement))


def test_each_mask_is_read_once(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = MaskPictures(read_masks(masks)["val"], SIZE, SIZE, 0)
    read: list[Path] = []

    def noted(item: Masked, classes: int) -> NDArray[np.uint8]:
        read.append(item.mask)
        return read_mask(item, classes)

    monkeypatch.setattr(mask_pictures, "read_mask", noted)
    confusions(Colours(), pictures)
    assert read == [item.mask for item in pictures.masked.items]
    read.clear()
    list(predict(Colours(), pictures))
    assert not read


@pytest.mark.parametrize("size", [(30, 40), (200, 300)])
def test_pictures_of_any_size_and_turned_ones(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = write_masks(tmp_path, 1)
    picture, mask = draw(5, width=size[1], height=size[0])
    # Stored on its side; the mask is drawn on the upright picture.
    write_picture(folder / "images/0000.png", picture, orientation=6)
    write_mask(folder / "masks/0000.png", np.rot90(mask, -1).copy())
    found = mask_of(Colours(), MaskPictures(read_masks(folder)["train"], SIZE, SIZE, 0), 0)
    assert found.shape == size[::-1]
    assert (found == np.rot90(mask, -1)).mean() > 0.95


def test_processes_share_the_pictures_and_put_them_in_order(
    pictures: MaskPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Colours()
    whole = confusions(module, pictures)
    parts = [confusions(module, pictures, Part(rank, 3)) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 3, 2]

    def gather(everything: list[Any], mine: list[NDArray[np.int64]]) -> None:
        assert mine is parts[1]
        everything[:] = parts

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    together = of_all(parts[1], Part(1, 3))
    assert len(together) == 8
    assert all(np.array_equal(one, other) for one, other in zip(whole, together, strict=True))
    assert not np.array_equal(whole[0], whole[1])
    assert of_all(parts[1], Part()) is parts[1]


def test_pictures_go_through_a_few_at_a_time(
    pictures: MaskPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_AT_ONCE", 3)
    module = Colours()
    assert len(list(predict(module, pictures))) == 8
    assert module.batches == [3, 3, 2]


def test_a_graph_is_given_the_pixels_that_the_module_sees(pictures: MaskPictures) -> None:
    pixels = item(pictures, 3)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels.transpose(2, 0, 1), pictures[3].image.numpy())
