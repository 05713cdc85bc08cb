"""A mask brought to the original's size: held against whole planes, and rules that must hold."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry, ResizeRule
from service.masks import areas, crop, to_original
from service.resize import Placement, place

PADDING = 200


def padded(
    small: NDArray[np.uint8], placement: Placement, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """A mask at an input's size, with a value of its own where there is no picture."""
    whole = np.full(shape, PADDING, np.uint8)
    left, top = map(int, placement.offset)
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small
    return whole


def placed(
    width: int, height: int, resize: ResizeRule
) -> tuple[Placement, tuple[int, int], tuple[int, int]]:
    """Where a picture lies in an input of 16 x 24, the shape of that, and of its own part."""
    geometry = InputGeometry(height=16, width=24, resize=resize)
    placement, size = place(width, height, geometry)
    inner = round(height * placement.scale[1]), round(width * placement.scale[0])
    return placement, size[::-1], inner


def shares(small: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The plane of every class, resized whole: ``uint8[C,H,W]``."""
    planes = [Image.fromarray(np.uint8(255) * (small == label)) for label in range(4)]
    resized = [plane.resize((width, height), Image.Resampling.BILINEAR) for plane in planes]
    return np.stack([np.asarray(plane) for plane in resized])


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 120),
    st.integers(1, 600),
    st.sampled_from(["letterbox", "squash", "pad_to_multiple"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 4]),
)
def test_every_pixel_has_the_class_of_the_highest_share(
    width: int, height: int, resize: ResizeRule, seed: int, grain: int
) -> None:
    placement, shape, (h, w) = placed(width, height, resize)
    random = np.random.default_rng(seed)
    small = random.integers(0, 4, (h // grain + 1, w // grain + 1), np.uint8)
    small = small.repeat(grain, 0).repeat(grain, 1)[:h, :w]
    found = to_original(padded(small, placement, shape), placement)
    assert found.shape == (height, width)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) <= set(np.unique(small))
    if (h, w) == (height, width):
        assert (found == small).all()
        return
    planes = shares(small, width, height)
    chosen = np.take_along_axis(planes, found[None].astype(np.int64), 0)[0]
    assert (chosen.astype(int) >= planes.max(0).astype(int) - 2).all()  # tiles round otherwise


def test_tiles_meet_without_a_seam() -> None:
    small = np.random.default_rng(0).integers(0, 4, (40, 60), np.uint8)
    found = to_original(small, Placement(700, 530, (60 / 700, 40 / 530), (0, 0)))
    planes = shares(small, 700, 530)
    chosen = np.take_along_axis(planes, found[None].astype(np.int64), 0)[0]
    assert (chosen.astype(int) >= planes.max(0).astype(int) - 2).all()  # tiles round otherwise


def test_edges_are_smooth_and_no_class_appears_between_two_others() -> None:
    small = np.zeros((16, 16), np.uint8)
    small[np.add.outer(np.arange(16), np.arange(16)) > 15] = 2  # along a diagonal
    placement = Placement(160, 160, (0.1, 0.1), (0, 0))
    found = to_original(small, placement)
    assert set(np.unique(found)) == {0, 2}
    widths = (found == 2).sum(1)[16:-16]  # of every row but those at the border
    assert np.abs(np.diff(widths)).max() <= 2  # a blocky one would jump by ten
    assert np.abs(widths - np.arange(16, 144)).max() < 10


def test_of_equal_shares_the_first_class_stays() -> None:
    small = np.array([[3, 1]], np.uint8)
    found = to_original(small, Placement(3, 1, (2 / 3, 1), (0, 0)))
    assert found.tolist() == [[3, 1, 1]]


def test_a_smaller_original_has_the_class_that_covers_most_of_a_pixel() -> None:
    small = np.zeros((40, 40), np.uint8)
    small[:, :20] = 1
    small[::8, 30] = 2  # specks
    found = to_original(small, Placement(4, 4, (10, 10), (0, 0)))
    assert (found == [1, 1, 0, 0]).all()


@pytest.mark.parametrize("size", [(400, 10), (10, 400), (24, 16), (700, 500)])
def test_the_padding_is_nowhere(size: tuple[int, int]) -> None:
    placement, shape, inner = placed(*size, "letterbox")
    found = to_original(padded(np.ones(inner, np.uint8), placement, shape), placement)
    assert (found == 1).all()


def test_a_mask_that_does_not_hold_the_picture_is_refused() -> None:
    placement = Placement(10, 20, (1, 1), (2, 3))
    assert crop(np.zeros((23, 12), np.uint8), placement).shape == (20, 10)
    for shape in ((22, 12), (23, 11), (12,), (1, 23, 12)):
        with pytest.raises(ValueError, match="a plane of shape"):
            to_original(np.zeros(shape, np.uint8), placement)


def test_little_is_held_besides_the_result() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 20, (64, 64), np.uint8)
    placement = Placement(2000, 3000, (64 / 2000, 64 / 3000), (0, 0))
    tracemalloc.start()
    try:
        found = to_original(small, placement)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * found.size


def test_areas_count_every_value() -> None:
    mask = np.random.default_rng(1).integers(0, 256, (700, 5), np.uint8)
    counted = areas(mask)
    assert len(counted) == 256
    assert counted == [int((mask == value).sum()) for value in range(256)]
