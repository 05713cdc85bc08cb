from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from service.contract import InputGeometry
from service.images import Limits, decode
from service.resize import fit, needed_size
from tests.training.mask_sets import CLASSES, draw, write_mask, write_masks, write_picture
from training.data.errors import DataError
from training.data.mask_augment import Example, MaskAugment, MaskAugmentation
from training.data.mask_folders import read_masks
from training.data.mask_pictures import MaskPictures, collate
from training.data.masked import VOID, Masked, MaskedSet

HEIGHT, WIDTH, PAD = 48, 64, 114
GEOMETRY = InputGeometry(height=HEIGHT, width=WIDTH, resize="letterbox", pad_value=PAD)
AUGMENT = MaskAugment(MaskAugmentation(crop_height=40), HEIGHT, WIDTH, PAD)


@pytest.fixture
def masked(tmp_path: Path) -> MaskedSet:
    return read_masks(write_masks(tmp_path, 6))["train"]


def pictures_of(
    masked: MaskedSet, augment: MaskAugment | None = None, **given: int
) -> MaskPictures:
    return MaskPictures(masked, HEIGHT, WIDTH, PAD, augment, **given)


def same(one: Example, other: Example) -> bool:
    return torch.equal(one.image, other.image) and torch.equal(one.mask, other.mask)


@pytest.mark.parametrize("memory_mib", [0, 1])
@pytest.mark.parametrize("shape", [(64, 48), (96, 72), (700, 400), (301, 640), (20, 31)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_pictures_are_those_of_the_service(
    tmp_path: Path, shape: tuple[int, int], orientation: int, memory_mib: int
) -> None:
    picture, mask = draw(0, width=shape[0], height=shape[1])
    mask = mask if orientation == 1 else np.rot90(mask, -1)
    path = write_picture(tmp_path / "a.jpg", picture, orientation)
    item = Masked.of_files(path, write_mask(tmp_path / "a.png", mask))
    pictures = pictures_of(MaskedSet(CLASSES, (item,)), memory_mib=memory_mib)
    assert pictures.is_in_memory == (memory_mib > 0)
    assert not pictures.is_varied
    needed = partial(needed_size, geometry=GEOMETRY)
    expected, placement = fit(decode(path.read_bytes(), Limits(), needed), GEOMETRY)
    example = pictures[0]
    assert (example.image.dtype, example.mask.dtype) == (torch.uint8, torch.uint8)
    assert np.array_equal(example.image.permute(1, 2, 0).numpy(), expected)
    # Each pixel of the input has the class of the original's pixel that its middle lies in.
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    x = np.floor((columns - placement.offset[0]) / placement.scale[0]).astype(int)
    y = np.floor((rows - placement.offset[1]) / placement.scale[1]).astype(int)
    is_seen = (x >= 0) & (x < placement.width) & (y >= 0) & (y < placement.height)
    found = example.mask.numpy()
    assert (found[~is_seen] == VOID).all()
    classes = mask[np.where(is_seen, y, 0), np.where(is_seen, x, 0)]
    assert (found == classes)[is_seen].mean() > 0.99  # but for rounding of the middles
    assert set(np.unique(found[is_seen]).tolist()) == {0, 1, 2}
    original, where = pictures.original(0)
    assert np.array_equal(original, mask)
    assert where == pictures.placement(0) == placement
    assert torch.equal(pictures.picture(0), example.image)
    item.mask.unlink()
    assert torch.equal(pictures.picture(-1), example.image)


def test_augmented_pictures_depend_on_seed_epoch_and_index_alone(masked: MaskedSet) -> None:
    pictures = pictures_of(masked, AUGMENT, seed=3, memory_mib=1)
    pictures.set_epoch(4)
    state = torch.get_rng_state()
    first = [pictures[index] for index in range(6)]
    assert torch.equal(torch.get_rng_state(), state)
    again = pictures_of(masked, AUGMENT, seed=3, memory_mib=0)
    again.set_epoch(4)
    assert (again.epoch, again.is_varied, again.is_in_memory) == (4, True, False)
    torch.manual_seed(77)
    assert all(same(first[index], again[index]) for index in reversed(range(6)))
    again.set_epoch(5)
    assert not any(same(first[index], again[index]) for index in range(6))
    other = pictures_of(masked, AUGMENT, seed=8)
    other.set_epoch(4)
    assert not any(same(first[index], other[index]) for index in range(6))
    twice = pictures_of(masked.subset([0, 0]), AUGMENT)
    assert not same(twice[0], twice[1])


def test_a_picture_without_its_mask_is_not_varied(masked: MaskedSet) -> None:
    varied = pictures_of(masked, AUGMENT, memory_mib=1)
    assert torch.equal(varied.picture(2), pictures_of(masked)[2].image)


def test_what_is_kept_is_not_changed_by_augmentation(masked: MaskedSet) -> None:
    pictures = pictures_of(masked, AUGMENT, memory_mib=1)
    first = pictures[0]
    for epoch in range(1, 6):
        pictures.set_epoch(epoch)
        pictures[0]
    pictures.set_epoch(0)
    assert same(pictures[0], first)


def test_workers_learn_of_the_next_epoch(masked: MaskedSet) -> None:
    pictures = pictures_of(masked, AUGMENT, memory_mib=1)
    loader = DataLoader(pictures, batch_size=3, num_workers=1, collate_fn=collate)
    for epoch in range(2):
        pictures.set_epoch(epoch)
        found = list(loader)
        expected = collate([pictures[index] for index in range(6)])
        assert torch.equal(torch.cat([batch.images for batch in found]), expected.images)
        assert torch.equal(torch.cat([batch.masks for batch in found]), expected.masks)


def test_pictures_are_varied_at_their_size_unless_they_are_large(tmp_path: Path) -> None:
    shapes = {"a": (90, 70), "b": (960, 480), "c": (30, 20)}
    for name, (width, height) in shapes.items():
        picture, mask = draw(1, width=width, height=height)
        write_picture(tmp_path / "images" / f"{name}.png", picture)
        write_mask(tmp_path / "masks" / f"{name}.png", mask)
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    pictures = pictures_of(read_masks(tmp_path)["train"], AUGMENT, memory_mib=1)
    # 1.5 times the input is 96x72: the first stays, the second becomes 96x48.
    assert pictures.memory_mib == pytest.approx((90 * 70 + 96 * 48 + 30 * 20) * 4 / 2**20)


def test_batches_are_pictures_and_masks(masked: MaskedSet) -> None:
    pictures = pictures_of(masked)
    images, masks = collate([pictures[0], pictures[-1]])
    assert images.shape == (2, 3, HEIGHT, WIDTH)
    assert masks.shape == (2, HEIGHT, WIDTH)
    assert (images.dtype, masks.dtype) == (torch.uint8, torch.uint8)
    assert torch.equal(images[1], pictures[5].image)
    assert torch.equal(masks[1], pictures[5].mask)


def test_crops_have_the_size_that_is_asked_for(masked: MaskedSet) -> None:
    example = pictures_of(masked, AUGMENT)[0]
    assert example.image.shape == (3, 40, WIDTH)
    assert example.mask.shape == (40, WIDTH)


def test_there_is_no_picture_beyond_the_last(masked: MaskedSet) -> None:
    pictures = pictures_of(masked)
    with pytest.raises(IndexError, match="no picture 6 among 6"):
        pictures[6]
    with pytest.raises(IndexError, match="no picture -7 among 6"):
        pictures.original(-7)
    with pytest.raises(IndexError, match="no picture 6 among 6"):
        pictures.placement(6)
    with pytest.raises(IndexError, match="no picture 6 among 6"):
        pictures.picture(6)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("memory_mib", [0, 1])
@pytest.mark.parametrize("which", ["path", "mask"])
def test_what_is_damaged_is_left_out_and_named(
    masked: MaskedSet, which: str, memory_mib: int
) -> None:
    whole = pictures_of(masked)
    path: Path = getattr(masked.items[2], which)
    damage(path)
    pictures = pictures_of(masked, memory_mib=memory_mib)
    stems = [item.path.stem for item in pictures.masked.items]
    assert stems == ["0000", "0001", "0003", "0004", "0005"]
    assert len(pictures) == 5
    (line,) = pictures.masked.faults
    assert line.startswith(f"{path}: the PNG file is damaged")
    for index, before in enumerate((0, 1, 3, 4, 5)):
        assert same(pictures[index], whole[before])
        assert np.array_equal(pictures.original(index)[0], whole.original(before)[0])
    assert pictures.memory_mib == pytest.approx(memory_mib and 6 * HEIGHT * WIDTH * 4 / 2**20)


def test_what_is_damaged_later_is_named(masked: MaskedSet) -> None:
    pictures = pictures_of(masked)
    damage(masked.items[2].mask)
    with pytest.raises(DataError, match=r"masks/0002\.png: the PNG file is damaged"):
        pictures[2]
    Image.new("RGB", (50, 60)).save(masked.items[1].path)
    with pytest.raises(DataError, match=r"images/0001\.png: is no longer 96x72"):
        pictures_of(masked, AUGMENT)[1]
