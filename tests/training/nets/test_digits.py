"""Drawn digits in every light: what comes out must be the digit as MNIST would have it."""

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from tests.training.tasks.classify.tiny_sets import digit
from training.exportable import Graph
from training.graph import to_onnx
from training.nets.digits import BOX, CANVAS, SIDE, Digits
from training.tasks.classify.digits import canvas

FRONT = Digits().eval()
Ink = NDArray[np.float64]
Bytes = NDArray[np.uint8]
EVERY = [str(number) for number in range(10)]

few = settings(max_examples=25, deadline=None, derandomize=True)
digits = st.sampled_from(EVERY)
shares = st.floats(0.3, 0.6)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On busy cores the threads of small pictures mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ink_of(text: str, height: float = 0.6, bold: float = 0.04, across: float = 0.5) -> Ink:
    return digit(text, CANVAS, height=height, bold=bold, centre=(across, 0.5)) / 255


def photo(ink: Ink, light: Ink | float = 0.8, contrast: float = 0.7, noise: float = 0.0) -> Bytes:
    """Ink on paper of this brightness."""
    random = np.random.default_rng(0)
    brightness = light * (1 - contrast * ink) + random.normal(0, noise, ink.shape)
    return np.clip(np.rint(brightness * 255), 0, 255).astype(np.uint8)


def framed(*pictures: Bytes) -> Tensor:
    """What the front makes of grey pictures ``uint8[112, 112]``."""
    colours = np.stack([np.repeat(picture[..., None], 3, axis=2) for picture in pictures])
    with torch.inference_mode():
        result: Tensor = FRONT(torch.from_numpy(colours))
    assert result.shape == (len(pictures), 1, SIDE, SIDE)
    assert torch.isfinite(result).all()
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    return result


def likeness(first: Tensor, second: Tensor) -> float:
    """The cosine between two pictures; different digits here stay below 0.95."""
    return float(torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0))


def across_and_down() -> tuple[Ink, Ink]:
    down, across = np.mgrid[:CANVAS, :CANVAS] / CANVAS - 0.5
    return across, down


def test_the_digits_differ_from_one_another() -> None:
    results = framed(*(photo(ink_of(text)) for text in EVERY))
    for first in range(10):
        for second in range(first):
            assert likeness(results[first], results[second]) < 0.95


@pytest.mark.parametrize("text", EVERY)
def test_the_result_has_the_form_of_mnist(text: str) -> None:
    [[result]] = framed(photo(ink_of(text, across=0.6)))
    rows, columns = np.nonzero(result.numpy() > 0.3)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(BOX, abs=1)
    places = torch.arange(SIDE) - (SIDE - 1) / 2
    mass = result.sum()
    assert abs(float((result.sum(0) * places).sum() / mass)) < 0.5
    assert abs(float((result.sum(1) * places).sum() / mass)) < 0.5
    assert float(result.max()) == 1


@few
@given(digits, shares, st.floats(0.35, 0.65), st.floats(0, 0.1))
def test_light_on_dark_and_dark_on_light_are_the_same(
    text: str, height: float, across: float, bold: float
) -> None:
    picture = photo(ink_of(text, height, bold, across))
    light, dark = framed(picture, 255 - picture)
    torch.testing.assert_close(light, dark, atol=1e-3, rtol=0)


@few
@given(digits, shares, st.floats(0.3, 0.7))
def test_size_and_place_in_the_picture_do_not_matter(
    text: str, height: float, across: float
) -> None:
    here, there = framed(photo(ink_of(text)), photo(ink_of(text, height, across=across)))
    assert likeness(here, there) > 0.93


@few
@given(digits, st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_slanting_light_does_not_matter(text: str, across: float, down: float) -> None:
    right, below = across_and_down()
    even, slanting = framed(
        photo(ink_of(text)), photo(ink_of(text), 0.65 + across * right + down * below)
    )
    assert likeness(even, slanting) > 0.95


@few
@given(digits, st.floats(0.1, 0.9), st.floats(0.3, 1))
def test_contrast_does_not_matter(text: str, contrast: float, light: float) -> None:
    strong, weak = framed(photo(ink_of(text)), photo(ink_of(text), light, max(0.15, contrast)))
    assert likeness(strong, weak) > 0.97


@pytest.mark.parametrize("text", EVERY)
def test_darker_corners_do_not_matter(text: str) -> None:
    right, below = across_and_down()
    corners = 0.85 * (1 - 0.9 * (right**2 + below**2))
    even, darker = framed(photo(ink_of(text)), photo(ink_of(text), corners))
    assert likeness(even, darker) > 0.99


@pytest.mark.parametrize("depth", [0.15, 0.3])
def test_a_shadow_over_a_part_matters_little(depth: float) -> None:
    """Where no square of the opening fits beside the edge something is left of the shadow."""
    right, below = across_and_down()
    even = framed(*(photo(ink_of(text)) for text in EVERY))
    for at in (-0.2, 0.2):
        edge = np.clip(0.5 + 50 * (0.8 * right + 0.6 * below - at), 0, 1)
        shade = 0.8 * (1 - depth * edge)
        shaded = framed(*(photo(ink_of(text), shade, noise=0.01) for text in EVERY))
        likenesses = [likeness(one, other) for one, other in zip(even, shaded, strict=True)]
        assert min(likenesses) > (0.9 if depth < 0.2 else 0.6)


@pytest.mark.parametrize("bold", [0.0, 0.1], ids=["thin", "thick"])
def test_thin_and_thick_strokes_stay_as_they_are(bold: float) -> None:
    for text in EVERY:
        own = ink_of(text, 0.5, bold)
        [[result]] = framed(photo(own))
        rows, columns = np.nonzero(own > 0.5)
        box = max(np.ptp(rows), np.ptp(columns)) + 1
        # The same share of the box is ink, give or take the softer edges.
        assert float(result.sum()) / BOX**2 == pytest.approx(own.sum() / box**2, rel=0.15), text


def test_specks_and_grain_do_not_matter() -> None:
    random = np.random.default_rng(3)
    for text in EVERY:
        ink = ink_of(text, 0.5)
        dirty = ink.copy()
        for row, column in random.integers(2, CANVAS - 2, (10, 2)):
            dirty[row, column] = 1
        clean, speckled, grainy = framed(photo(ink), photo(dirty), photo(ink, noise=0.03))
        assert likeness(clean, speckled) > 0.9
        assert likeness(clean, grainy) > 0.9


@few
@given(st.integers(0, 255))
def test_an_empty_picture_has_no_ink(value: int) -> None:
    assert float(framed(np.full((CANVAS, CANVAS), value, np.uint8)).abs().max()) == 0


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 256))
def test_noise_gives_numbers(seed: int, span: int) -> None:
    random = np.random.default_rng(seed)
    framed(random.integers(0, span, (CANVAS, CANVAS), dtype=np.uint16).astype(np.uint8))


@pytest.mark.parametrize("text", EVERY)
def test_ink_that_touches_the_border_is_still_ink(text: str) -> None:
    whole = ink_of(text, 0.8)
    rows = np.flatnonzero(whole.max(1) > 0.5)
    touching = np.zeros_like(whole)
    touching[: CANVAS - rows[0]] = whole[rows[0] :]
    inside, outside = framed(photo(ink_of(text, 0.6)), photo(touching))
    assert likeness(inside, outside) > 0.95


def test_of_a_photograph_the_middle_counts_whatever_its_shape() -> None:
    ink = np.asarray(digit("5", 300, height=0.6, bold=0.05)) / 255
    square = photo(ink)
    paper = square[0, 0]
    wide = np.pad(square, ((0, 0), (60, 60)), constant_values=paper)
    high = np.pad(square, ((45, 45), (0, 0)), constant_values=paper)
    results = [framed(canvas(picture)[..., 0]) for picture in (square, wide, high)]
    assert all(likeness(results[0], other) > 0.99 for other in results[1:])


def test_colours_count_by_their_brightness() -> None:
    ink = ink_of("4")[..., None]
    blue_on_yellow = ink * np.array([20, 30, 140]) + (1 - ink) * np.array([250, 240, 180])
    with torch.inference_mode():
        coloured = FRONT(torch.from_numpy(blue_on_yellow.astype(np.uint8))[None])
    assert likeness(coloured, framed(photo(ink_of("4")))) > 0.97


@pytest.mark.parametrize("text", EVERY)
def test_from_an_even_ground_nothing_is_taken(text: str) -> None:
    """Networks trained on what this made of MNIST rely on it."""
    picture = canvas(digit(text, bold=0.05))[..., 0]
    grey = torch.from_numpy(picture / 255).float()[None]
    strongest = grey.flatten(1).topk(CANVAS * CANVAS // 100).values.mean()
    plain = FRONT._frame((grey / strongest / 0.9).clamp(0, 1)[:, None])
    torch.testing.assert_close(framed(picture), plain, atol=2e-3, rtol=0)


def test_a_faint_stroke_is_kept_on_even_ground_and_left_out_on_grainy_paper() -> None:
    ink = ink_of("0")
    right = np.arange(CANVAS) > CANVAS // 2
    faint = np.where(right & (np.abs(np.arange(CANVAS)[:, None] - CANVAS // 2) < 12), 0.12, 1) * ink
    whole, even, grainy = framed(photo(ink), photo(faint), photo(faint, noise=0.04))
    weakened = whole - framed(photo(np.where(faint < ink, 0, ink)))[0] > 0.5
    kept, left = (float(each[0][weakened[0]].mean()) for each in (even, grainy))
    assert kept > 0.1
    assert left < 0.6 * kept


def test_the_exported_front_computes_the_same() -> None:
    random = np.random.default_rng(5)
    pictures = [
        photo(ink_of(text, random.uniform(0.3, 0.6), random.uniform(0, 0.08)), noise=0.02)
        for text in EVERY
    ]
    pictures += [255 - pictures[0], np.zeros((CANVAS, CANVAS), np.uint8)]
    colours = np.stack([np.repeat(picture[..., None], 3, axis=2) for picture in pictures])
    graph = Graph(
        module=FRONT,
        example={"images": torch.zeros(2, CANVAS, CANVAS, 3, dtype=torch.uint8)},
        outputs=("ink",),
        golden=[],
        checked=[],
    )
    session = ort.InferenceSession(
        to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for size in (1, 5, len(pictures)):
        [found] = session.run(None, {"images": colours[:size]})
        np.testing.assert_allclose(found, framed(*pictures[:size]), atol=2e-3)
