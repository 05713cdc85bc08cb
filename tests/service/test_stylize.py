"""The stylizing task on arrays: its manifest, its inputs, mixing, drawing, how outputs compare."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import TinyStylizer
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from service.contract import Manifest, read_manifest
from service.errors import InferenceError, ManifestError, ParameterError, UnusableImageError
from service.images import Picture
from service.task import ImageSeen, Inferred, ModelUsed, Timing
from service.tasks import stylize
from service.tasks.stylize import LEAST_SIDE, Params

TINY = TinyStylizer()
ASSETS = {"presets": TINY.written()}
WAVE, FIRE = (np.array(code) for code in TINY.presets.values())


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(TINY.write(tmp_path_factory.mktemp("models")))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def picture_of(image: Image.Image) -> Picture:
    return Picture(image, *image.size, (0, 0, *image.size))


def drawn(
    manifest: Manifest,
    content: Image.Image,
    stylized: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = np.invert,
    **params: Any,
) -> Image.Image:
    """What is answered if the graph makes that of its input."""
    asked = Params(**params)
    prepared = stylize.prepare(picture_of(content), manifest, asked)
    common = {
        "model": ModelUsed(name="styles", version="1", precision="fp32"),
        "image": ImageSeen(width=content.width, height=content.height),
        "timing_ms": Timing(decode=0, queue=0, run=0, total=0),
    }
    outputs = {"stylized": stylized(prepared.inputs["images"])}
    inferred = Inferred(manifest, outputs, prepared.placement, common, ASSETS)
    assert stylize.finish(inferred, asked).model_dump() == {
        name: value.model_dump() for name, value in common.items()
    }
    return stylize.draw(lambda: content.copy(), inferred, asked)


def test_the_manifest_of_a_stylizer_is_accepted_with_and_without_presets(
    manifest: Manifest,
) -> None:
    stylize.check(manifest, ASSETS)
    stylize.check(manifest, {})
    assert stylize.presets_of({}) == {}


def changed(manifest: Manifest, *path: str, to: Any) -> Manifest:
    document = manifest.model_dump(mode="json")
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return Manifest.model_validate(document, strict=False)


def spec(name: str, dtype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


PIXELS = ("N", "H", "W", 3)
SPOILT: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "no encoder": (("graphs",), None, r"graphs\.encode"),
    "a rule that distorts": (("input", "resize"), "squash", r"input\.resize"),
    "a rule that pads": (("input", "multiple"), 8, r"input\.resize"),
    "a side too small": (("input", "height"), 15, "input: a stylizer needs sides of 16"),
    "a style too small": (("options", "style_side"), 15, r"options\.style_side: 15"),
    "a style of no number": (("options", "style_side"), "large", r"options\.style_side: 'large'"),
    "a style of truth": (("options", "style_side"), True, r"options\.style_side: True"),
    "a fixed style": (
        ("graphs", "encode", "fp32", "inputs"),
        [spec("images", "uint8", "N", 16, 16, 3)],
        r"graphs\.encode\.fp32: images is",
    ),
    "a code of any length": (
        ("graphs", "encode", "fp32", "outputs"),
        [spec("code", "float32", "N", "K")],
        r"graphs\.encode: needs an output code of a fixed length",
    ),
    "no code": (
        ("graphs", "encode", "fp32", "outputs"),
        [spec("style", "float32", "N", 6)],
        r"graphs\.encode: needs an output code",
    ),
    "a code of no floats": (
        ("graphs", "encode", "fp32", "outputs"),
        [spec("code", "float16", "N", 6)],
        r"graphs\.encode\.fp32: code is float16",
    ),
    "another code": (
        ("graphs", "main", "fp32", "inputs"),
        [spec("images", "uint8", *PIXELS), spec("code", "float32", "N", 7)],
        r"graphs\.main\.fp32: code is",
    ),
    "no alpha": (
        ("graphs", "main", "fp32", "inputs"),
        [spec("images", "uint8", *PIXELS), spec("code", "float32", "N", 6)],
        "no tensor named 'alpha'",
    ),
    "no picture": (
        ("graphs", "main", "fp32", "outputs"),
        [spec("stylized", "float32", *PIXELS)],
        r"graphs\.main\.fp32: stylized is float32",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_manifest_that_does_not_suit_is_refused_by_its_field(
    manifest: Manifest, what: str
) -> None:
    path, value, complaint = SPOILT[what]
    if value is None:
        value = {"main": manifest.model_dump(mode="json")["graphs"]["main"]}
    with pytest.raises(ManifestError, match=f"model 'styles': .*{complaint}|{complaint}"):
        stylize.check(changed(manifest, *path, to=value), ASSETS)


def test_presets_that_do_not_suit_are_refused(manifest: Manifest) -> None:
    with pytest.raises(ManifestError, match=r"model 'styles': assets\.presets: .*Invalid JSON"):
        stylize.check(manifest, {"presets": b"wave"})
    other = TinyStylizer(presets={"short": (1, 2, 3)}).written()
    with pytest.raises(ManifestError, match=r"the code of 'short' has 3 numbers, .* 6"):
        stylize.check(manifest, {"presets": other})


def test_presets_are_shown_with_where_they_come_from(manifest: Manifest) -> None:
    wave, fire = stylize.shown(manifest, ASSETS)
    assert (wave.model, wave.name, wave.title) == ("styles", "wave", "Wave")
    assert (fire.name, fire.source, fire.licence) == ("fire", "numbers", "CC0-1.0")


@pytest.mark.parametrize(
    ("size", "max_side", "seen"),
    [
        ((40, 30), None, (40, 30)),
        ((640, 480), None, (64, 48)),
        ((640, 480), 32, (32, 24)),
        ((33, 64), 64, (33, 64)),
        ((1, 1), None, (16, 16)),
        ((17, 5), None, (17, 16)),
        ((50, 1), 16, (16, 16)),
    ],
)
def test_a_content_is_shrunk_to_its_bound_and_never_enlarged_but_mirrored(
    manifest: Manifest, size: tuple[int, int], max_side: int | None, seen: tuple[int, int]
) -> None:
    prepared = stylize.prepare(picture_of(noise(*size)), manifest, Params(max_side=max_side))
    assert prepared.role == "main"
    images = prepared.inputs["images"]
    assert (images.dtype.name, images.shape) == ("uint8", (*seen[::-1], 3))
    alpha = prepared.inputs["alpha"]
    assert (alpha.dtype.name, alpha.shape, float(alpha)) == ("float32", (), 1)


def test_what_is_mirrored_is_the_picture_itself(manifest: Manifest) -> None:
    content = noise(20, 10)
    images = stylize.prepare(picture_of(content), manifest, Params()).inputs["images"]
    pixels = np.asarray(content)
    assert (images[:10] == pixels).all()
    assert (images[10:] == pixels[:3:-1]).all()


@pytest.mark.parametrize(("option", "longer"), [(48, 48), (None, 64)])
def test_a_style_is_shrunk_to_the_model_s_side(
    tmp_path: Path, option: int | None, longer: int
) -> None:
    model = read_manifest(TinyStylizer(style_side=option).write(tmp_path))
    prepared = stylize.prepare_style(picture_of(noise(200, 100)), model)
    assert prepared.role == "encode"
    assert prepared.inputs.keys() == {"images"}
    assert prepared.inputs["images"].shape == (longer // 2, longer, 3)
    small = stylize.prepare_style(picture_of(noise(3, 2)), model)
    assert small.inputs["images"].shape == (LEAST_SIDE, LEAST_SIDE, 3)


def code(*values: float) -> dict[str, NDArray[np.float32]]:
    return {"code": np.array(values, np.float32)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"style": ["wave"]}, WAVE),
        ({"style": ["wave:0.25"]}, WAVE),
        ({"style": ["wave:0.7", "fire:0.3"]}, 0.7 * WAVE + 0.3 * FIRE),
        ({"style": ["wave:7", "fire:3"]}, 0.7 * WAVE + 0.3 * FIRE),
        ({"style": ["wave", "fire"]}, (WAVE + FIRE) / 2),
        ({"style": ["wave", "fire:0"]}, WAVE),
        ({"style": ["fire", "wave", "fire"]}, (WAVE + 2 * FIRE) / 3),
    ],
)
def test_presets_mix_by_their_weighted_mean(query: Any, expected: NDArray[np.float64]) -> None:
    params = Params(**query)
    stylize.check_styles(params, ASSETS, 0)
    mixed = stylize.mix([], ASSETS, params)
    assert mixed.keys() == {"code"}
    assert mixed["code"].dtype == np.float32
    assert mixed["code"] == pytest.approx(expected, rel=1e-6)


def test_pictures_mix_with_presets_by_weights_of_their_own() -> None:
    pictures = [code(*range(6)), code(*[10] * 6)]
    one, two = (each["code"] for each in pictures)
    for query, expected in (
        ({}, (one + two) / 2),
        ({"style_weight": [3]}, (3 * one + two) / 4),
        ({"style_weight": [0, 2]}, two),
        ({"style_weight": [5e-324, 5e-324]}, (one + two) / 2),
        ({"style_weight": [1, 2], "style": ["wave:5"]}, (one + 2 * two + 5 * WAVE) / 8),
    ):
        params = Params(**query)
        stylize.check_styles(params, ASSETS, 2)
        assert stylize.mix(pictures, ASSETS, params)["code"] == pytest.approx(expected, rel=1e-6)


def test_a_code_that_is_not_finite_is_no_style() -> None:
    stylize.verify_code(code(1, 2, 3, 4, 5, -6))
    for bad in (np.inf, -np.inf, np.nan):
        with pytest.raises(UnusableImageError, match="not finite"):
            stylize.verify_code(code(1, 2, 3, 4, 5, bad))


@pytest.mark.parametrize(
    ("query", "pictures", "complaint"),
    [
        ({"style": ["sea"]}, None, "no preset 'sea'; there are: wave, fire"),
        ({"style": ["wave", "sea:0.2"]}, None, "no preset 'sea'"),
        ({}, 0, r"send a picture in the form's field 'style'; presets: wave, fire"),
        ({"style_weight": [1]}, 0, "there are 1 weights for 0 pictures"),
        ({"style_weight": [1, 2]}, 1, "there are 2 weights for 1 pictures"),
        ({"style": ["wave:0", "fire:0.0"]}, 0, "all weights are 0"),
        ({"style_weight": [0]}, 1, "all weights are 0"),
    ],
)
def test_styles_that_do_not_go_together_are_refused(
    query: Any, pictures: int | None, complaint: str
) -> None:
    with pytest.raises(ParameterError, match=complaint):
        stylize.check_styles(Params(**query), ASSETS, pictures)


def test_what_can_only_be_known_of_the_body_waits_for_it() -> None:
    stylize.check_styles(Params(), ASSETS, None)
    stylize.check_styles(Params(style_weight=[0, 0]), ASSETS, None)
    with pytest.raises(ParameterError, match="there are: none"):
        stylize.check_styles(Params(style=["wave"]), {}, None)


@pytest.mark.parametrize(
    "query",
    [
        {"style": ["Wave"]},
        {"style": [""]},
        {"style": ["wave:"]},
        {"style": ["wave:-1"]},
        {"style": ["wave:nan"]},
        {"style": ["wave:1e3"]},
        {"style": ["wave:12345"]},
        {"style": ["wave:1:2"]},
        {"style": ["wave"] * 17},
        {"style_weight": [-1]},
        {"style_weight": [float("nan")]},
        {"style_weight": [float("inf")]},
        {"alpha": 1.1},
        {"alpha": float("nan")},
        {"max_side": 15},
        {"quality": 0},
        {"quality": 101},
        {"styles": "wave"},
    ],
)
def test_a_parameter_out_of_its_range_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(query))):
        Params(**query)


def test_a_side_that_the_model_does_not_run_is_refused(manifest: Manifest) -> None:
    Params(max_side=64).check(manifest)
    with pytest.raises(ParameterError, match="max_side: model 'styles' runs at most 64, not 65"):
        Params(max_side=65).check(manifest)


def test_the_answer_is_what_the_graph_gave_without_what_was_mirrored(manifest: Manifest) -> None:
    for size in ((40, 30), (64, 20), (20, 3), (1, 1)):
        content = noise(*size)
        assert (np.asarray(drawn(manifest, content)) == ~np.asarray(content)).all()


@examples(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 300), height=st.integers(1, 300), max_side=st.none() | st.integers(16, 64)
)
def test_any_picture_comes_back_in_its_shape_and_within_its_bound(
    manifest: Manifest, width: int, height: int, max_side: int | None
) -> None:
    found = drawn(manifest, noise(width, height), max_side=max_side, preserve_color=True)
    bound = max_side or 64
    assert max(found.size) == min(bound, max(width, height))
    shorter = min(width, height) * min(1, bound / max(width, height))
    assert abs(min(found.size) - max(1, shorter)) <= 0.5


def test_colours_are_kept_and_only_the_luma_is_the_style_s(manifest: Manifest) -> None:
    hue = np.zeros((32, 48, 3), np.uint8)
    hue[:, :24], hue[:, 24:] = (170, 90, 90), (90, 90, 170)
    content = Image.fromarray(hue)

    def darker(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.broadcast_to(images.mean(-1, keepdims=True) * 0.8, images.shape).astype(np.uint8)

    found = drawn(manifest, content, darker, preserve_color=True)
    before, after = (np.asarray(each.convert("YCbCr"), int) for each in (content, found))
    grey = darker(hue)
    luma = np.asarray(Image.fromarray(grey).convert("L"), int)
    assert np.abs(after[..., 0] - luma).max() <= 2
    assert np.abs(after[..., 1:] - before[..., 1:]).max() <= 2
    assert (np.asarray(drawn(manifest, content, darker)) == grey).all()


def test_a_graph_that_gives_another_size_gave_no_answer(manifest: Manifest) -> None:
    with pytest.raises(InferenceError, match=r"\(30, 39, 3\) for a picture of 40x30"):
        drawn(manifest, noise(40, 30), lambda images: images[:, 1:])


def test_pixels_are_apart_from_three_levels_on() -> None:
    def apart(by: int, pixels: int) -> float:
        changed = before.copy()
        changed.reshape(-1, 3)[:pixels, 1] -= np.uint8(by)
        return stylize.deviation({"stylized": changed}, {"stylized": before})

    before = np.full((5, 4, 3), 200, np.uint8)
    assert apart(2, 20) == 0
    assert apart(3, 1) == 0.05
    assert apart(200, 20) == 1
    assert stylize.deviation({"stylized": before[1:]}, {"stylized": before}) == float("inf")
    assert stylize.deviation(code(1, 2), code(1, 2.5)) == 0.5
    assert stylize.deviation(code(1, 2), code(1)) == float("inf")
