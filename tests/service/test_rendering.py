"""An answer as a picture: drawn at full size, upright, encoded, and nothing else in the file."""

import io
from typing import Any

import numpy as np
import pytest
from fabricate import Tiny
from pictures import exif, saved, seeds, stored_as
from PIL import Image, ImageCms

from service.contract import read_manifest
from service.errors import NotAcceptableError
from service.images import Limits, decode
from service.rendering import MEDIA_TYPES, Rendering
from service.resize import Placement
from service.task import Inferred, Original, Params, Timing

PARAMS = Params()
TIMING = Timing(decode=1, queue=2, run=3, total=4)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Inferred:
    """What a run gave, of which nothing but the timing is looked at."""
    manifest = read_manifest(Tiny().write(tmp_path_factory.mktemp("models")))
    return Inferred(manifest, {}, Placement(1, 1, (1, 1), (0, 0)), {"timing_ms": TIMING})


def as_it_is(original: Original, *_: Any) -> Image.Image:
    return original()


def rendered(image: bytes, media_type: str, given: Inferred) -> Image.Image:
    result = Rendering(as_it_is, media_type).render(image, Limits(), given, PARAMS)
    assert result.media_type == media_type
    assert result.timing is TIMING
    picture = Image.open(io.BytesIO(result.data))
    assert picture.get_format_mimetype() == media_type
    picture.load()
    return picture


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("name", seeds())
def test_any_picture_is_drawn_upright_and_whole(
    name: str, media_type: str, given: Inferred
) -> None:
    image = seeds()[name]
    upright = decode(image, Limits()).pixels
    found = rendered(image, media_type, given)
    assert found.mode == "RGB"
    assert found.size == upright.size
    if media_type == "image/png":
        assert (np.asarray(found) == np.asarray(upright)).all()


def test_a_lossy_picture_is_close_to_the_original(given: Inferred) -> None:
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp.T, ramp[::-1]], -1))
    for media_type in MEDIA_TYPES:
        found = rendered(saved(picture, "PNG"), media_type, given)
        assert np.abs(np.asarray(found, float) - np.asarray(picture, float)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_drawn_upright_once(orientation: int, given: Inferred) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:10, :10] = 255
    image = saved(Image.fromarray(stored_as(orientation, upright)), "PNG", exif=exif(orientation))
    found = rendered(image, "image/png", given)
    assert (np.asarray(found) == upright).all()
    assert not found.getexif()


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_nothing_but_the_pixels_is_passed_on(kind: str, media_type: str, given: Inferred) -> None:
    tags = Image.Exif()
    tags[0x010E] = "where it was taken"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"comment": b"a secret"} if kind == "JPEG" else {}
    image = saved(
        Image.new("RGB", (32, 32)), kind, exif=tags, icc_profile=profile, dpi=(300, 300), **options
    )
    info = rendered(image, media_type, given).info
    assert not info.keys() & {"exif", "icc_profile", "comment", "dpi", "xmp"}


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_quality_makes_a_lossy_picture_smaller_and_no_other(
    media_type: str, given: Inferred
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image = saved(Image.fromarray(noise), "PNG")

    def size(quality: int | None) -> int:
        rendering = Rendering(as_it_is, media_type, quality)
        return len(rendering.render(image, Limits(), given, PARAMS).data)

    assert size(None) == size(90)
    if media_type == "image/png":
        assert size(1) == size(100) == size(90)
    else:
        assert size(1) < size(90) < size(100)


def test_what_was_drawn_is_in_the_picture(given: Inferred) -> None:
    def half(original: Original, inferred: Inferred, params: Params) -> Image.Image:
        assert (inferred, params) == (given, PARAMS)
        return original().resize((8, 8)).convert("L").convert("RGB")

    result = Rendering(half, "image/png").render(seeds()["png"], Limits(), given, PARAMS)
    assert Image.open(io.BytesIO(result.data)).size == (8, 8)


def test_an_original_that_is_not_drawn_on_is_not_decoded(given: Inferred) -> None:
    def blank(*_: Any) -> Image.Image:
        return Image.new("L", (3, 2), 7)

    result = Rendering(blank, "image/png").render(b"not looked at", Limits(), given, PARAMS)
    picture = Image.open(io.BytesIO(result.data))
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("L", (3, 2), 7)


def test_a_picture_too_long_for_its_media_type_is_refused_with_one_that_takes_it(
    given: Inferred,
) -> None:
    image = saved(Image.new("RGB", (16_384, 400)), "PNG")
    with pytest.raises(NotAcceptableError, match=r"16384x400; image/webp .*16383.* image/png"):
        Rendering(as_it_is, "image/webp").render(image, Limits(), given, PARAMS)
    assert rendered(image, "image/jpeg", given).size == (16_384, 400)


def test_an_encoder_that_gives_up_is_refused_with_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch, given: Inferred
) -> None:
    image = seeds()["gif"]

    def overflow(*_: Any, **__: Any) -> None:
        raise ValueError("encoding error 6")

    monkeypatch.setattr(Image.Image, "save", overflow)
    with pytest.raises(
        NotAcceptableError, match=r"image/webp \(encoding error 6\), accept image/p"
    ):
        Rendering(as_it_is, "image/webp").render(image, Limits(), given, PARAMS)
