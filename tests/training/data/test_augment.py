"""Each way of varying a picture, on pictures in which what it does can be seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from training.data.augment import Augment, Augmentation, contact_sheet, mix
from training.data.labelled import Labelled
from training.tasks.classify.presets import FOLDER, PRESETS

EVERYTHING = Augmentation(
    rotation=15,
    shift=0.1,
    zoom=0.2,
    shear=10,
    elastic=1.0,
    flip=True,
    crop_padding=2,
    crop_area=0.5,
    brightness=0.3,
    colour=0.3,
    erase=0.5,
)


def pictures(count: int = 16, channels: int = 3, side: int = 32) -> Tensor:
    """Smooth pictures of every brightness from 0 to 1, brighter to the right."""
    random = torch.rand(count, channels, 1, 1, generator=torch.Generator().manual_seed(0))
    right = torch.linspace(0, 1, side).expand(count, channels, side, side)
    return (0.3 * random + 0.7 * right).clone()


def disc(count: int = 16, side: int = 32) -> Tensor:
    """A white disc on black, left and above of the middle."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    inside = ((rows - side * 0.4) ** 2 + (columns - side * 0.35) ** 2) < (side / 6) ** 2
    return inside.float().expand(count, 1, side, side).clone()


def vary(given: Tensor, augmentation: Augmentation, seed: int = 0, side: int = 32) -> Tensor:
    torch.manual_seed(seed)
    augment = Augment(augmentation, side, side)
    before = given.clone()
    varied: Tensor = augment(given)
    assert torch.equal(given, before)  # the batch itself stays
    assert varied.dtype == torch.float32
    assert varied.shape == (len(given), given.shape[1], side, side)
    return varied


def areas(varied: Tensor) -> Tensor:
    return varied.sum((1, 2, 3))


def centres(varied: Tensor) -> Tensor:
    """Across and down, in pixels, ``float32[B, 2]``."""
    places = torch.arange(varied.shape[-1]).float()
    across = (varied.sum((1, 2)) * places).sum(1) / areas(varied)
    down = (varied.sum((1, 3)) * places).sum(1) / areas(varied)
    return torch.stack([across, down], dim=1)


def test_by_default_nothing_happens() -> None:
    given = pictures()
    assert torch.equal(vary(given, Augmentation()), given)


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_numbers_from_0_to_1(channels: int) -> None:
    chosen = EVERYTHING
    if channels == 1:
        chosen = Augmentation(rotation=15, elastic=1.0, crop_area=0.5, brightness=0.3, erase=0.5)
    random = torch.rand(64, channels, 32, 32, generator=torch.Generator().manual_seed(1))
    varied = vary(torch.cat([random, random.round()]), chosen)
    assert torch.isfinite(varied).all()
    assert -1e-5 <= float(varied.min()) <= float(varied.max()) <= 1 + 1e-5
    assert len({tuple(one.flatten().tolist()) for one in varied}) == len(varied)


def test_the_same_seed_gives_the_same_and_another_one_another() -> None:
    given = pictures(4)
    first, again, other = (vary(given, EVERYTHING, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.01)


def test_a_picture_is_mirrored_or_left_alone() -> None:
    given = pictures()
    varied = vary(given, Augmentation(flip=True))
    mirrored = [torch.equal(one, two.flip(-1)) for one, two in zip(varied, given, strict=True)]
    same = [torch.equal(one, two) for one, two in zip(varied, given, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert any(mirrored)
    assert any(same)


def test_shifting_moves_by_no_more_than_asked() -> None:
    given = disc(64)
    moved = (centres(vary(given, Augmentation(shift=0.1))) - centres(given)).abs()
    assert float(moved.max()) <= 0.1 * 32 + 0.1
    assert float(moved.max()) > 0.05 * 32
    torch.testing.assert_close(
        areas(vary(given, Augmentation(shift=0.1))), areas(given), rtol=0.05, atol=0
    )


def test_rotation_keeps_the_distance_from_the_middle() -> None:
    given = disc(64)
    before, after = (centres(one) - 15.5 for one in (given, vary(given, Augmentation(rotation=30))))
    torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1), atol=0.15, rtol=0)
    angles = torch.rad2deg(torch.atan2(after[:, 1], after[:, 0]))
    turned = angles - torch.rad2deg(torch.atan2(before[:, 1], before[:, 0]))
    turned = (turned + 180) % 360 - 180
    assert float(turned.abs().max()) <= 31
    assert float(turned.min()) < -10
    assert float(turned.max()) > 10


def test_zoom_changes_the_area_within_bounds() -> None:
    given = disc(64)
    ratios = areas(vary(given, Augmentation(zoom=0.2))) / areas(given)
    assert 0.8**2 - 0.05 <= float(ratios.min()) < 0.85
    assert 1.15 < float(ratios.max()) <= 1.2**2 + 0.05


def test_shearing_slants_an_upright_edge() -> None:
    given = torch.zeros(64, 1, 32, 32)
    given[..., 14:18] = 1
    varied = vary(given, Augmentation(shear=20))
    columns = torch.arange(32).float()
    top, bottom = (
        (varied[:, 0, row] * columns).sum(1) / varied[:, 0, row].sum(1) for row in (8, 23)
    )
    slants = torch.rad2deg(torch.atan((bottom - top) / 15)).abs()
    assert 10 < float(slants.max()) <= 21


def test_elastic_distortion_bends_some_pictures_and_is_stronger_if_asked() -> None:
    given = disc(64)
    weak, strong = (vary(given, Augmentation(elastic=e)) - given for e in (0.5, 2.0))
    changed = weak.abs().amax((1, 2, 3)) > 1e-3
    assert 10 < int(changed.sum()) < 54  # each with a chance of a half
    assert float(strong.abs().mean()) > 1.5 * float(weak.abs().mean()) > 0


def test_a_padded_crop_is_a_shift_by_whole_pixels_with_black_beside_it() -> None:
    given = pictures(16)
    varied = vary(given, Augmentation(crop_padding=4))
    padded = torch.nn.functional.pad(given, (4, 4, 4, 4))
    offsets = set()
    for index in range(16):
        offsets |= {
            (row, column)
            for row in range(9)
            for column in range(9)
            if torch.equal(varied[index], padded[index, :, row : row + 32, column : column + 32])
        }
    assert len(offsets) > 8


def test_a_crop_of_another_shape_keeps_at_least_the_area_asked_for() -> None:
    # Brightness grows to the right by 1 / 63 a pixel, so the range tells how wide the crop is.
    wide = torch.linspace(0, 1, 64).expand(32, 3, 64, 64).clone()
    high = wide.transpose(2, 3).contiguous()
    chosen = Augmentation(crop_area=0.4)
    assert chosen.needs_margin
    shares = []
    for given in (wide, high):
        varied = vary(given, chosen, side=32)
        shares.append(varied.amax((1, 2, 3)) - varied.amin((1, 2, 3)))
    area = shares[0] * shares[1]
    assert 0.35 < float(area.min()) < 0.6
    assert float(area.max()) > 0.75


def test_brightness_and_colour_change_what_they_say() -> None:
    grey = torch.full((32, 3, 8, 8), 0.5)
    lighter = vary(grey, Augmentation(brightness=0.3), side=8)
    assert 0.2 < float(lighter.amin()) < 0.4
    assert 0.6 < float(lighter.amax()) < 0.8
    assert float((lighter - lighter[:, :1]).abs().max()) < 1e-5  # grey stays grey
    assert torch.allclose(vary(grey, Augmentation(colour=0.5), side=8), grey, atol=0.02)
    red = torch.tensor([0.8, 0.3, 0.3])[:, None, None].expand(32, 3, 8, 8).clone()
    tinted = vary(red, Augmentation(colour=0.5), side=8)
    saturation = tinted.amax(1) - tinted.amin(1)
    assert float(saturation.min()) < 0.4
    assert float(saturation.max()) > 0.6


def test_erasing_blots_out_a_rectangle_as_often_as_asked() -> None:
    given = torch.ones(200, 1, 32, 32)
    varied = vary(given, Augmentation(erase=0.3))
    blots = (varied == 0).sum((1, 2, 3)) / 32**2
    erased = blots > 0
    assert 0.2 < float(erased.float().mean()) < 0.4
    assert float(blots.max()) <= 0.27
    one = (varied[int(erased.nonzero()[0])] == 0)[0]
    rows, columns = one.any(1), one.any(0)
    assert torch.equal(one, rows[:, None] & columns[None, :])


def test_mixing_mixes_labels_as_it_mixes_pictures() -> None:
    torch.manual_seed(0)
    targets = torch.arange(6)
    given = torch.nn.functional.one_hot(targets, 6).float()[:, :, None, None].expand(-1, -1, 4, 4)
    given = given[:, :3].contiguous() if given.shape[1] == 3 else given.contiguous()
    mixed, labels = mix(given, targets, 6, alpha=1.0)
    torch.testing.assert_close(mixed[:, :, 0, 0], labels)
    torch.testing.assert_close(labels.sum(1), torch.ones(6))
    assert int((labels > 0).sum()) > 6


def test_writing_is_never_mirrored() -> None:
    assert not PRESETS["mnist"].augmentation.flip
    for name in ("fashion-mnist", "cifar10-resnet18", "cifar10-vgg16"):
        assert PRESETS[name].augmentation.flip
    assert FOLDER.augmentation.flip


@pytest.mark.parametrize(
    "option",
    [
        {"rotation": -1.0},
        {"zoom": 1.0},
        {"crop_area": 0.0},
        {"crop_area": 1.5},
        {"brightness": 1.1},
        {"colour": -0.1},
        {"erase": 2.0},
        {"mixup": float("nan")},
    ],
)
def test_what_cannot_be_is_refused(option: dict[str, Any]) -> None:
    [name] = option
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} must be from .* not "):
        Augmentation(**option)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contact_sheet_shows_each_picture_and_its_variants(
    channels: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (5, 40, 40, channels), dtype=np.uint8))
    labelled = Labelled(images, torch.tensor([0, 1, 0, 1, 1]), ("a", "b" * 40))
    path = tmp_path / "sheet.png"
    chosen = Augmentation(crop_area=0.5, flip=True)
    contact_sheet(labelled, Augment(chosen, 24, 24), path, pictures=3, variants=4)
    with Image.open(path) as opened:
        assert (opened.format, opened.mode) == ("PNG", "RGB")
        sheet = opened.copy()
    cell = 24 * 4 + 4  # four times as large, to be seen, and a margin
    assert sheet.size == (110 + 5 * cell, 3 * cell)
    tile = np.asarray(
        sheet.crop((110, 2, 110 + 96, 2 + 96)).resize((24, 24), Image.Resampling.NEAREST)
    )
    plain = images[0].permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(plain, (24, 24), mode="bilinear", antialias=True)
    expected = small[0].permute(1, 2, 0).expand(-1, -1, 3).numpy()
    np.testing.assert_allclose(tile, expected, atol=1)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
