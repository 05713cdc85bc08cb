import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.data.mask_augment import MaskAugment, MaskAugmentation
from training.data.masked import VOID

PAD = 114
STILL: dict[str, Any] = {
    "flip": False,
    "scale_min": 1.0,
    "scale_max": 1.0,
    "brightness": 0,
    "contrast": 0,
    "saturation": 0,
}


def quarters(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A picture whose red value is 50 times the class, 0 to 3, of its pixels' quarter."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    mask = (2 * (rows >= height // 2) + (columns >= width // 2)).to(torch.uint8)
    return torch.stack([mask * 50, mask * 0, 255 - mask * 50]), mask


def augment(height: int = 48, width: int = 64, **options: Any) -> MaskAugment:
    return MaskAugment(MaskAugmentation(**(STILL | options)), height, width, PAD)


def agreement(image: Tensor, mask: Tensor) -> float:
    """The share of pixels that are no void whose class is that of their colour."""
    is_seen = mask != VOID
    return float(((image[0].float() / 50).round() == mask)[is_seen].float().mean())


def test_a_picture_of_the_inputs_size_is_as_it_was() -> None:
    image, mask = quarters(48, 64)
    example = augment()(image, mask)
    assert torch.equal(example.image, image)
    assert torch.equal(example.mask, mask)
    assert (example.image.dtype, example.mask.dtype) == (torch.uint8, torch.uint8)


@pytest.mark.parametrize("size", [(96, 128), (24, 32), (48, 40), (31, 64)])
def test_scale_1_is_what_fits_the_input(size: tuple[int, int]) -> None:
    image, mask = quarters(*size)
    example = augment()(image, mask)
    factor = min(48 / size[0], 64 / size[1])
    seen = example.mask != VOID
    assert (int(seen.any(1).sum()), int(seen.any(0).sum())) == (
        round(size[0] * factor),
        round(size[1] * factor),
    )
    assert agreement(example.image, example.mask) > 0.9


@pytest.mark.parametrize("options", [{}, {"crop_height": 40, "crop_width": 24}])
def test_picture_and_mask_move_together(options: dict[str, int]) -> None:
    image, mask = quarters(100, 90)
    varied = augment(flip=True, scale_min=0.5, scale_max=2.0, **options)
    torch.manual_seed(0)
    examples = [varied(image, mask) for _ in range(40)]
    shape = (40, 24) if options else (48, 64)
    assert (varied.height, varied.width) == shape
    for example in examples:
        assert example.image.shape == (3, *shape)
        assert example.mask.shape == shape
        assert agreement(example.image, example.mask) > 0.85
        is_void = example.mask == VOID
        assert (example.image[:, is_void] == PAD).all()
        assert set(np.unique(example.mask).tolist()) <= {0, 1, 2, 3, VOID}
    # Some are padded and some are not; some are mirrored and some are not.
    assert {bool((each.mask == VOID).any()) for each in examples} == {True, False}
    assert len({each.mask.numpy().tobytes() for each in examples}) > 30


def test_crops_of_a_larger_picture_lie_anywhere_in_it() -> None:
    image, mask = quarters(48, 64)
    torch.manual_seed(0)
    cut = augment(crop_height=16, crop_width=16)
    seen = {tuple(np.unique(cut(image, mask).mask).tolist()) for _ in range(100)}
    assert {(0,), (1,), (2,), (3,)} < seen
    assert not any(VOID in classes for classes in seen)


def test_a_smaller_picture_lies_anywhere_on_the_crop() -> None:
    image, mask = quarters(48, 64)
    torch.manual_seed(0)
    small = augment(scale_min=0.5, scale_max=0.5)
    corners = set()
    for _ in range(200):
        rows, columns = torch.nonzero(small(image, mask).mask != VOID, as_tuple=True)
        assert (int(rows.max() - rows.min()), int(columns.max() - columns.min())) == (23, 31)
        corners.add((int(rows.min()), int(columns.min())))
    assert {row for row, _ in corners} == set(range(25))
    assert len({column for _, column in corners}) > 25
    assert max(column for _, column in corners) <= 32


def test_scale_is_what_it_says() -> None:
    image, mask = quarters(48, 64)
    mask = mask.clone()
    mask[:, 30:34] = 9
    wide = augment(scale_min=2, scale_max=2, crop_height=96, crop_width=128)(image, mask)
    assert int((wide.mask[0] == 9).sum()) == 8


def test_mirroring_can_be_had_or_not() -> None:
    image, mask = quarters(48, 64)
    torch.manual_seed(0)
    lefts = [int(augment(flip=True)(image, mask).mask[0, 0]) for _ in range(60)]
    assert set(lefts) == {0, 1}
    assert 15 < sum(lefts) < 45
    assert {int(augment()(image, mask).mask[0, 0]) for _ in range(60)} == {0}


@pytest.mark.parametrize(
    ("option", "value"), [("brightness", 0.5), ("contrast", 0.5), ("saturation", 0.9), ("hue", 0.3)]
)
def test_colours_change_the_picture_alone(option: str, value: float) -> None:
    image, mask = quarters(48, 64)
    torch.manual_seed(0)
    options: dict[str, Any] = {option: value}
    changed = [augment(**options)(image, mask) for _ in range(4)]
    assert all(torch.equal(each.mask, mask) for each in changed)
    assert len({each.image.numpy().tobytes() for each in changed}) == 4


def test_colours_leave_the_padding() -> None:
    image, mask = quarters(24, 64)
    torch.manual_seed(1)
    example = augment(brightness=1.0, contrast=1.0)(image, mask)
    assert (example.image[:, example.mask == VOID] == PAD).all()
    assert int((example.mask == VOID).sum()) == 24 * 64


def test_a_very_thin_picture_does_no_harm() -> None:
    image, mask = quarters(1, 200)
    torch.manual_seed(0)
    varied = augment(scale_min=0.5, scale_max=2.0)
    for _ in range(20):
        assert (varied(image, mask).mask != VOID).any()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("crop_height", 0, "--crop-height must be from 1 to 4096, not 0"),
        ("crop_width", 5000, "--crop-width must be from 1 to 4096, not 5000"),
        ("scale_min", 0.0, "--scale-min must be from 0.1 to 8, not 0.0"),
        ("scale_max", 9.0, "--scale-max must be from 0.1 to 8, not 9.0"),
        ("scale_max", 0.4, "--scale-min must be no more than --scale-max, 0.4, not 0.5"),
        ("brightness", 1.5, "--brightness must be from 0 to 1, not 1.5"),
        ("hue", 0.6, "--hue must be from 0 to 0.5, not 0.6"),
    ],
)
def test_options_out_of_their_range_are_refused(option: str, value: float, message: str) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=re.escape(message)):
        MaskAugmentation(**options)
