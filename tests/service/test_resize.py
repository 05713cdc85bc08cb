"""``service.resize``: the four rules, for pictures of any size."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray
from pictures import exif, saved, stored_as
from PIL import Image

from service.contract import InputGeometry, ResizeRule
from service.images import Limits, Picture, decode
from service.resize import fit, needed_size, place

RULES: tuple[ResizeRule, ...] = ("squash", "shortest_side", "letterbox", "pad_to_multiple")
SIDES = st.integers(1, 5000)
LIMITS = Limits()
bounded = settings(max_examples=200, deadline=None)


@st.composite
def geometries(draw: DrawFn, rule: ResizeRule | None = None, most: int = 800) -> InputGeometry:
    """Any geometry a manifest may hold."""
    chosen: ResizeRule = draw(st.sampled_from(RULES)) if rule is None else rule
    step = draw(st.sampled_from((1, 2, 8, 32))) if chosen == "pad_to_multiple" else 1
    side = st.integers(1, most // step).map(lambda units: units * step)
    return InputGeometry(
        height=draw(side),
        width=draw(side),
        resize=chosen,
        crop=draw(st.floats(0.2, 1.0)) if chosen == "shortest_side" else 1.0,
        interpolation=draw(st.sampled_from(("nearest", "bilinear", "bicubic", "lanczos"))),
        multiple=step,
        pad_value=draw(st.integers(0, 255)),
    )


@st.composite
def sizes(draw: DrawFn, most: int = 5000) -> tuple[int, int]:
    """Width and height within the aspect limit."""
    width, height = draw(st.integers(1, most)), draw(st.integers(1, most))
    assume(max(width, height) <= LIMITS.max_aspect * min(width, height))
    return width, height


def picture_of(pixels: NDArray[np.uint8]) -> Picture:
    """A picture decoded in full."""
    height, width = pixels.shape[:2]
    return Picture(Image.fromarray(pixels), width, height, (0, 0, width, height))


def waves(width: int, height: int) -> NDArray[np.uint8]:
    """A smooth picture, different in every part."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    bands = [np.sin(7 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y + 1)]
    return (np.dstack(bands) * 100 + 128).astype(np.uint8)


@bounded
@given(sizes(), geometries())
def test_the_input_has_the_promised_size(size: tuple[int, int], geometry: InputGeometry) -> None:
    _, (width, height) = place(*size, geometry)
    if geometry.resize != "pad_to_multiple":
        assert (width, height) == (geometry.width, geometry.height)
        return
    step = geometry.multiple
    assert width % step == height % step == 0
    assert 0 < width <= geometry.width
    assert 0 < height <= geometry.height


@bounded
@given(sizes(), geometries())
def test_corners_come_back_from_the_input(size: tuple[int, int], geometry: InputGeometry) -> None:
    placement, _ = place(*size, geometry)
    width, height = size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height], [width / 3, height / 7]])
    there = corners * placement.scale + placement.offset
    assert np.allclose(placement.to_original(there), corners, atol=1e-6)
    outside = np.array([[-1e6, -1e6], [1e6, 1e6]])
    assert placement.to_original(outside).tolist() == [[0, 0], [width, height]]


@bounded
@given(sizes(), geometries("shortest_side"))
def test_a_centre_crop_is_centred_keeps_its_shape_and_lies_inside(
    size: tuple[int, int], geometry: InputGeometry
) -> None:
    placement, (width, height) = place(*size, geometry)
    assert placement.scale[0] == placement.scale[1]
    window = placement.to_original(np.array([[0, 0], [width, height]]))
    assert np.allclose(window.mean(0), np.array(size) / 2, atol=1e-6)
    shown = (window[1] - window[0]) * placement.scale
    assert np.allclose(shown, (width, height), atol=1e-6)
    reach = (window[1] - window[0]) / size
    assert reach.max() == pytest.approx(geometry.crop)


@bounded
@given(sizes(), geometries("letterbox"))
def test_a_letterboxed_picture_is_centred_and_touches_the_border(
    size: tuple[int, int], geometry: InputGeometry
) -> None:
    placement, target = place(*size, geometry)
    inner = [round(side * scale) for side, scale in zip(size, placement.scale, strict=True)]
    left_over = [side - covered for side, covered in zip(target, inner, strict=True)]
    assert min(left_over) == 0
    for space, offset in zip(left_over, placement.offset, strict=True):
        assert offset == space // 2
    ideal = min(target[0] / size[0], target[1] / size[1])
    for side, covered in zip(size, inner, strict=True):
        assert abs(covered - side * ideal) <= 1


@bounded
@given(sizes(), geometries("pad_to_multiple"))
def test_a_padded_picture_is_never_enlarged_and_starts_in_the_corner(
    size: tuple[int, int], geometry: InputGeometry
) -> None:
    placement, target = place(*size, geometry)
    assert placement.offset == (0.0, 0.0)
    assert max(placement.scale) <= 1
    for side, scale, whole in zip(size, placement.scale, target, strict=True):
        assert 0 <= whole - round(side * scale) < geometry.multiple
    if size[0] <= geometry.width and size[1] <= geometry.height:
        assert placement.scale == (1.0, 1.0)


@bounded
@given(sizes(), geometries())
def test_what_is_needed_suffices_upright_and_sideways(
    size: tuple[int, int], geometry: InputGeometry
) -> None:
    needed = needed_size(size, geometry)
    assert min(needed) >= 1
    for stored, wanted in ((size, needed), (size[::-1], needed[::-1])):
        placement, _ = place(*stored, geometry)
        for side, scale, enough in zip(stored, placement.scale, wanted, strict=True):
            assert enough >= math.floor(side * scale)


@settings(max_examples=60, deadline=None)
@given(sizes(most=300), geometries(most=96), st.sampled_from((1, 2, 4, 8)), st.data())
def test_any_picture_at_any_decoded_scale_gives_the_promised_array(
    size: tuple[int, int], geometry: InputGeometry, scale: int, data: st.DataObject
) -> None:
    width, height = size
    decoded = -(-width // scale), -(-height // scale)
    grey = data.draw(st.integers(0, 255))
    left, top = (d - s / scale for d, s in zip(decoded, size, strict=True))
    box = data.draw(
        st.sampled_from(
            [
                (0, 0, width / scale, height / scale),
                (left, top, left + width / scale, top + height / scale),
            ]
        )
    )
    flat = Picture(Image.new("RGB", decoded, (grey,) * 3), width, height, box)
    array, placement = fit(flat, geometry)
    placed, (input_w, input_h) = place(width, height, geometry)
    assert placement == placed
    assert array.shape == (input_h, input_w, 3)
    assert array.dtype == np.uint8
    x, y = (max(0, int(offset)) for offset in placement.offset)
    inner_w = min(input_w, round(width * placement.scale[0]))
    inner_h = min(input_h, round(height * placement.scale[1]))
    inside = np.zeros(array.shape[:2], bool)
    inside[y : y + inner_h, x : x + inner_w] = True
    assert (array[inside] == grey).all()
    assert (array[~inside] == geometry.pad_value).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_picture_of_the_inputs_size_is_left_alone(rule: ResizeRule) -> None:
    pixels = waves(40, 24)
    array, placement = fit(picture_of(pixels), InputGeometry(height=24, width=40, resize=rule))
    assert np.array_equal(array, pixels)
    assert (placement.scale, placement.offset) == ((1.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize("size", [(640, 480), (333, 500), (300, 300), (231, 1000)])
@pytest.mark.parametrize("crop", [0.875, 1.0])
def test_shortest_side_is_the_usual_resize_and_centre_crop(
    size: tuple[int, int], crop: float
) -> None:
    """As torchvision does it: the shorter side to ``target / crop``, then the middle cut out."""
    pixels, target = waves(*size), 224
    geometry = InputGeometry(
        height=target, width=target, resize="shortest_side", crop=crop, interpolation="bicubic"
    )
    array, _ = fit(picture_of(pixels), geometry)
    factor = target / crop / min(size)
    whole = round(size[0] * factor), round(size[1] * factor)
    resized = Image.fromarray(pixels).resize(whole, Image.Resampling.BICUBIC)
    left, top = round((whole[0] - target) / 2), round((whole[1] - target) / 2)
    expected = np.asarray(resized.crop((left, top, left + target, top + target)))
    difference = np.abs(array.astype(int) - expected)
    assert difference.mean() < 1
    assert difference.max() <= 6


def test_squash_letterbox_and_padding_put_every_part_in_its_place() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 100:] = 255
    squashed, _ = fit(picture_of(pixels), InputGeometry(height=32, width=32, resize="squash"))
    assert squashed[:, 4].max() == 0
    assert squashed[:, 28].min() == 255
    geometry = InputGeometry(height=32, width=32, resize="letterbox", pad_value=77)
    boxed, _ = fit(picture_of(pixels), geometry)
    assert (boxed[:8] == 77).all()
    assert (boxed[24:] == 77).all()
    assert boxed[8:24, 4].max() == 0
    assert boxed[8:24, 28].min() == 255
    geometry = InputGeometry(
        height=64, width=64, resize="pad_to_multiple", multiple=32, pad_value=77
    )
    padded, _ = fit(picture_of(pixels[:40, 80:120]), geometry)
    assert padded.shape == (64, 64, 3)
    assert padded[:40, 4].max() == 0
    assert padded[:40, 36].min() == 255
    assert (padded[40:] == 77).all()
    assert (padded[:, 40:] == 77).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(512, 384), (509, 379), (333, 501)])
def test_a_jpeg_decoded_smaller_gives_the_same_input(
    orientation: int, rule: ResizeRule, size: tuple[int, int]
) -> None:
    """Also where its sides are no multiples of 8 and its last pixels are partly padding."""
    stored = Image.fromarray(stored_as(orientation, waves(*size)))
    data = saved(stored, "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    geometry = InputGeometry(height=56, width=56, resize=rule, interpolation="bicubic")
    full = decode(data, LIMITS)
    reduced = decode(data, LIMITS, lambda stored: needed_size(stored, geometry))
    assert reduced.pixels.width < full.pixels.width
    expected, there = fit(full, geometry)
    actual, here = fit(reduced, geometry)
    assert here == there
    difference = np.abs(actual.astype(int) - expected)
    assert difference.mean() < 1
    assert difference.max() <= 8
