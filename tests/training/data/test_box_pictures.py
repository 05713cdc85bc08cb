from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch.utils.data import DataLoader

from service.contract import InputGeometry
from service.images import Limits, decode
from service.resize import fit, needed_size
from tests.training.box_sets import draw, write_voc, write_voc_picture
from training.data.box_augment import BoxAugment, BoxAugmentation, Example
from training.data.box_pictures import BoxPictures, collate
from training.data.box_sheet import contact_sheet
from training.data.boxed import BoxedSet
from training.data.errors import DataError
from training.data.voc import read_voc

SIZE, PAD = 64, 114
GEOMETRY = InputGeometry(height=SIZE, width=SIZE, resize="letterbox", pad_value=PAD)
AUGMENT = BoxAugment(BoxAugmentation(zoom_out=2), SIZE, PAD)


@pytest.fixture
def boxed(tmp_path: Path) -> BoxedSet:
    return read_voc(write_voc(tmp_path, {"train": 6}))


def same(one: Example, other: Example) -> bool:
    return torch.equal(one.image, other.image) and torch.equal(one.boxes, other.boxes)


@pytest.mark.parametrize("memory_mib", [0, 1])
@pytest.mark.parametrize("shape", [(96, 72), (700, 400), (301, 640), (20, 31)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_pictures_are_those_of_the_service(
    tmp_path: Path, shape: tuple[int, int], orientation: int, memory_mib: int
) -> None:
    drawn = draw(0, width=shape[0], height=shape[1])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    write_voc_picture(tmp_path, "a", drawn.picture, [], ".jpg")
    path = tmp_path / "JPEGImages" / "a.jpg"
    drawn.picture.save(path, exif=exif)
    pictures = BoxPictures(read_voc(tmp_path), SIZE, PAD, memory_mib=memory_mib)
    assert pictures.is_in_memory == (memory_mib > 0)
    assert not pictures.is_varied
    needed = partial(needed_size, geometry=GEOMETRY)
    expected, _ = fit(decode(path.read_bytes(), Limits(), needed), GEOMETRY)
    assert pictures[0].image.dtype == torch.uint8
    assert np.array_equal(pictures[0].image.permute(1, 2, 0).numpy(), expected)


def test_boxes_are_where_the_service_puts_the_objects(boxed: BoxedSet) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD)
    assert len(pictures) == 6
    for index, item in enumerate(boxed.items):
        picture = decode(item.path.read_bytes(), Limits())
        _, placement = fit(picture, GEOMETRY)
        example = pictures[index]
        corners = placement.to_original(example.boxes.numpy().reshape(-1, 2, 2)).reshape(-1, 4)
        assert np.allclose(corners, item.boxes, atol=1e-4)
        assert example.boxes.dtype == torch.float32
        assert example.labels.tolist() == item.labels.tolist()
        for (x_min, y_min, x_max, y_max), label in zip(
            example.boxes.round().int().tolist(), item.labels.tolist(), strict=True
        ):
            middle = example.image[:, (y_min + y_max) // 2, (x_min + x_max) // 2].tolist()
            assert (middle[0] > 150, middle[2] > 150) == (label == 0, label == 1)


def test_augmented_pictures_depend_on_seed_epoch_and_index_alone(boxed: BoxedSet) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD, AUGMENT, seed=3)
    pictures.set_epoch(4)
    state = torch.get_rng_state()
    first = [pictures[index] for index in range(6)]
    assert torch.equal(torch.get_rng_state(), state)
    again = BoxPictures(boxed, SIZE, PAD, AUGMENT, seed=3, memory_mib=0)
    again.set_epoch(4)
    assert again.epoch == 4
    torch.manual_seed(77)
    assert all(same(first[index], again[index]) for index in reversed(range(6)))
    again.set_epoch(5)
    assert not any(same(first[index], again[index]) for index in range(6))
    other = BoxPictures(boxed, SIZE, PAD, AUGMENT, seed=8)
    other.set_epoch(4)
    assert not any(same(first[index], other[index]) for index in range(6))
    twice = BoxPictures(boxed.subset([0, 0]), SIZE, PAD, AUGMENT)
    assert not same(twice[0], twice[1])


def test_workers_learn_of_the_next_epoch(boxed: BoxedSet) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD, AUGMENT)
    loader = DataLoader(pictures, batch_size=3, num_workers=1, collate_fn=collate)
    for epoch in range(2):
        pictures.set_epoch(epoch)
        images = torch.cat([images for images, _ in loader])
        assert torch.equal(images, torch.stack([pictures[index].image for index in range(6)]))


def test_larger_pictures_are_kept_small_for_augmentation(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": 1}, width=640, height=480)
    still = BoxAugmentation(flip=False, crop=0, scale_min=1, scale_max=1, photometric=0)
    # Kept are 80x60x3 bytes of each; whole they would take 0.9 and 1.8 MiB.
    write_voc_picture(tmp_path, "more", draw(1, width=800, height=800).picture, [])
    pictures = BoxPictures(
        read_voc(tmp_path), SIZE, PAD, BoxAugment(still, SIZE, PAD), memory_mib=1
    )
    assert pictures.is_in_memory
    assert pictures.is_varied
    scaled = pictures.boxed.items[0].boxes[:, 2:] - pictures.boxed.items[0].boxes[:, :2]
    found = pictures[0].boxes
    assert np.allclose((found[:, 2:] - found[:, :2]).numpy(), scaled / 10, atol=1e-4)


def test_batches_have_a_target_for_each_picture(boxed: BoxedSet) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD)
    images, targets = collate([pictures[0], pictures[-1]])
    assert images.shape == (2, 3, SIZE, SIZE)
    assert images.dtype == torch.uint8
    assert torch.equal(images[1], pictures[5].image)
    assert [set(target) for target in targets] == [{"boxes", "labels", "ignored"}] * 2
    assert torch.equal(targets[1]["boxes"], pictures[5].boxes)
    assert targets[1]["labels"].dtype == torch.int64
    assert targets[1]["ignored"].dtype == torch.bool


def test_there_is_no_picture_beyond_the_last(boxed: BoxedSet) -> None:
    with pytest.raises(IndexError, match="no picture 6 among 6"):
        BoxPictures(boxed, SIZE, PAD)[6]


@pytest.mark.parametrize("memory_mib", [0, 1])
def test_damaged_pictures_are_left_out_and_named(boxed: BoxedSet, memory_mib: int) -> None:
    whole = BoxPictures(boxed, SIZE, PAD)
    path = boxed.items[2].path
    path.write_bytes(path.read_bytes()[:1000])
    pictures = BoxPictures(boxed, SIZE, PAD, memory_mib=memory_mib)
    stems = [item.path.stem for item in pictures.boxed.items]
    assert stems == ["0000", "0001", "0003", "0004", "0005"]
    assert len(pictures) == 5
    (line,) = pictures.boxed.faults
    assert line.startswith(f"{path}: the PNG file is damaged")
    for index, before in enumerate((0, 1, 3, 4, 5)):
        assert same(pictures[index], whole[before])
    assert pictures.memory_mib == pytest.approx(memory_mib and 6 * SIZE * SIZE * 3 / 2**20)


def test_pictures_that_are_damaged_later_are_named(boxed: BoxedSet) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD, memory_mib=0)
    path = boxed.items[2].path
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"0002\.png: the PNG file is damaged"):
        pictures[2]


def test_a_picture_of_another_size_than_it_was_is_refused(boxed: BoxedSet) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD, AUGMENT, memory_mib=0)
    Image.new("RGB", (50, 60)).save(boxed.items[1].path)
    with pytest.raises(DataError, match=r"0001\.png: is no longer 96x72"):
        pictures[1]


def test_a_sheet_shows_pictures_as_they_are_and_varied(boxed: BoxedSet, tmp_path: Path) -> None:
    pictures = BoxPictures(boxed, SIZE, PAD, AUGMENT)
    pictures.set_epoch(9)
    contact_sheet(pictures, tmp_path / "sheet.png", count=2, variants=3, side=SIZE)
    assert pictures.epoch == 9
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (4 + 2 * 68, 4 + 4 * 68, 3)
    plain = BoxPictures(boxed, SIZE, PAD)[0]
    tile = sheet[4 : 4 + SIZE, 4 : 4 + SIZE]
    changed = (tile != plain.image.permute(1, 2, 0).numpy()).any(2)
    assert 0 < changed.mean() < 0.6
    for x_min, _, x_max, y_max in plain.boxes.tolist():
        last = round(y_max - 1)
        assert changed[last - 1 : last + 2, round(x_min) + 2 : round(x_max) - 2].any(0).all()
    assert [path.name for path in tmp_path.glob("*.png")] == ["sheet.png"]


def test_a_sheet_of_pictures_that_are_not_varied_has_one_column(
    boxed: BoxedSet, tmp_path: Path
) -> None:
    contact_sheet(BoxPictures(boxed, SIZE, PAD), tmp_path / "sheet.png", count=9, side=32)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 + 36, 4 + 6 * 36)
