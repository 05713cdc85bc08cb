"""``service.structure``: the parts of a file are counted, and too many refused."""

import zlib

import hostile
import pytest
from hostile import jpeg_of_scans, png, png_chunk
from pictures import saved, seeds
from PIL import Image

from service.errors import TooLargeError
from service.images import Limits, decode, sniff
from service.structure import MAX_PARTS, MAX_SCANS, count_frames, webp_canvas


@pytest.mark.parametrize("name", list(seeds()))
def test_an_honest_file_passes_and_its_frames_are_counted(name: str) -> None:
    data = seeds()[name]
    expected = 3 if name in ("gif-animated", "tiff-pages") else 1
    assert count_frames(sniff(data), data, 1000) == expected


def test_frames_are_counted_no_further_than_one_past_the_limit() -> None:
    data = hostile.gif(1, 1, hostile.gif_frame(1, 1) * 50)
    assert count_frames("GIF", data, 1000) == 50
    assert count_frames("GIF", data, 10) == 11


@pytest.mark.parametrize("odd", list(hostile.of_many_parts()), ids=lambda odd: odd.name)
def test_a_file_cut_into_very_many_parts_is_refused(odd: hostile.Odd) -> None:
    with pytest.raises(TooLargeError):
        count_frames(sniff(odd.data), odd.data, 1000)


def test_a_jpeg_may_have_as_many_scans_as_the_limit() -> None:
    at_limit = jpeg_of_scans(MAX_SCANS - 10)  # Pillow writes 10
    assert at_limit.count(b"\xff\xda") == MAX_SCANS
    assert decode(at_limit, Limits()).width == 64
    with pytest.raises(TooLargeError, match="scans"):
        decode(jpeg_of_scans(MAX_SCANS - 9), Limits())


def test_pictures_behind_a_jpegs_end_count_no_scans() -> None:
    good = seeds()["jpeg-progressive"]
    assert decode(good + good * MAX_SCANS, Limits()).width == 32


def test_as_many_parts_as_the_limit_pass() -> None:
    row = png_chunk(b"IDAT", zlib.compress(b"\x00" * 4))
    count_frames("PNG", png(1, 1, png_chunk(b"teSt") * (MAX_PARTS - 10), row), 1)


def test_zeros_behind_a_pngs_or_gifs_end_are_no_parts() -> None:
    for name in ("png-16", "gif"):
        assert decode(seeds()[name] + b"\x00" * 2_000_000, Limits()).width == 32


def test_the_canvas_of_every_kind_of_webp_is_known_before_it_is_opened() -> None:
    picture = Image.new("RGBA", (33, 17), (1, 2, 3, 4))
    assert webp_canvas(saved(picture, "WEBP", lossless=True)) == (33, 17)
    assert webp_canvas(saved(picture.convert("RGB"), "WEBP")) == (33, 17)
    assert webp_canvas(saved(picture.convert("RGB"), "WEBP", exif=b"Exif\x00\x00")) == (33, 17)
    assert webp_canvas(b"RIFF\x00\x00\x00\x00WEBPVP8X") == (1, 1)
