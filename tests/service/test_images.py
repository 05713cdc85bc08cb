"""``service.images``: every kind of file and pixel, upright, under limits."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hostile import png, png_chunk, tiff, tiff_page
from numpy.typing import NDArray
from pictures import exif, saved, seeds, stored_as
from PIL import Image, TiffImagePlugin

from service.errors import TooLargeError, UndecodableImageError, UnsupportedImageError
from service.images import FORMATS, Limits, decode, sniff

LIMITS = Limits()
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "BMP": {},
}


def pixels(data: bytes, **options: Any) -> NDArray[np.uint8]:
    """The decoded pixels ``uint8[H, W, 3]``."""
    return np.asarray(decode(data, LIMITS, **options).pixels)


def quadrants(width: int = 32, height: int = 16) -> NDArray[np.uint8]:
    """A picture that looks different whichever way it is turned."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 250, 20, 20
    picture[: height // 2, width // 2 :] = 20, 250, 20
    picture[height // 2 :, : width // 2] = 20, 20, 250
    picture[height // 2 :, width // 2 :] = 240, 240, 240
    return picture


@pytest.mark.parametrize("name", list(seeds()))
def test_every_format_is_told_by_its_first_bytes_and_decodes(name: str) -> None:
    data = seeds()[name]
    picture = decode(data, LIMITS)
    assert picture.pixels.mode == "RGB"
    assert picture.pixels.size == (picture.width, picture.height)
    kind = {"mpo": "JPEG", "apng": "PNG"}.get(name, name.partition("-")[0].upper())
    assert sniff(data) == kind
    assert decode(memoryview(data), LIMITS).pixels == picture.pixels


def test_other_bytes_are_no_image_we_read() -> None:
    with pytest.raises(UnsupportedImageError, match="are empty"):
        decode(b"", LIMITS)
    with pytest.raises(UnsupportedImageError) as caught:
        decode(b"%PDF-1.7", LIMITS)
    assert all(name in str(caught.value) for name in FORMATS)


@pytest.mark.parametrize("kind", list(LOSSLESS))
def test_rgb_comes_back_as_it_was(kind: str) -> None:
    picture = quadrants(33, 17)
    data = saved(Image.fromarray(picture), kind, **LOSSLESS[kind])
    assert np.array_equal(pixels(data), picture)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(kind: str, orientation: int) -> None:
    upright = quadrants(33, 17)
    stored = Image.fromarray(stored_as(orientation, upright))
    picture = decode(saved(stored, kind, exif=exif(orientation), **LOSSLESS[kind]), LIMITS)
    assert (picture.width, picture.height) == (33, 17)
    assert np.array_equal(np.asarray(picture.pixels), upright)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_upright_however_it_is_compressed(
    compression: str | None, orientation: int
) -> None:
    upright = quadrants(33, 17)
    stored = Image.fromarray(stored_as(orientation, upright))
    data = saved(stored, "TIFF", compression=compression, tiffinfo={274: orientation})
    picture = decode(data, LIMITS)
    assert (picture.width, picture.height) == (33, 17)
    assert np.array_equal(np.asarray(picture.pixels), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_upright_at_full_and_at_reduced_scale(orientation: int) -> None:
    upright = quadrants(512, 256)
    stored = Image.fromarray(stored_as(orientation, upright))
    data = saved(stored, "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    full = decode(data, LIMITS)
    assert (full.width, full.height) == full.pixels.size == (512, 256)
    assert difference(full.pixels, upright) < 1
    asked: list[tuple[int, int]] = []

    def a_quarter(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return size[0] // 4, size[1] // 4

    reduced = decode(data, LIMITS, a_quarter)
    assert asked == [stored.size]
    assert (reduced.width, reduced.height) == (512, 256)
    assert reduced.pixels.size == (128, 64)
    assert difference(reduced.pixels, quadrants(128, 64)) < 2


def test_an_orientation_in_xmp_of_a_tiff_gives_the_size_a_person_sees() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700], tags.tagtype[700] = b'<x tiff:Orientation="6"/>', 1
    stored = Image.fromarray(stored_as(6, quadrants(33, 17)))
    picture = decode(saved(stored, "TIFF", tiffinfo=tags), LIMITS)
    assert (picture.width, picture.height) == picture.pixels.size == (33, 17)
    assert np.array_equal(np.asarray(picture.pixels), quadrants(33, 17))


def test_damaged_exif_says_nothing_about_the_pixels() -> None:
    picture = quadrants()
    for orientation in (b"Exif\x00\x00", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", exif(99), exif(0)):
        data = saved(Image.fromarray(picture), "PNG", exif=orientation)
        assert np.array_equal(pixels(data), picture)


def difference(actual: Image.Image, expected: NDArray[np.uint8]) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(np.asarray(actual, np.float64) - expected).mean())


def over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``colour[..., 3]`` laid over white with ``alpha[...]``."""
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_over_white(kind: str) -> None:
    colour = quadrants()
    alpha = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (16, 1))
    image = Image.fromarray(np.dstack([colour, alpha]))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    actual = pixels(saved(image, kind, **options))
    assert np.abs(actual - over_white(colour, alpha)).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_of_a_grey_picture_is_laid_over_white(kind: str) -> None:
    grey = np.full((4, 4), 100, np.uint8)
    alpha = np.array([[0, 85, 170, 255]] * 4, np.uint8)
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    expected = over_white(np.dstack([grey] * 3), alpha)
    assert np.abs(pixels(saved(image, kind)) - expected).max() <= 1


def test_alpha_of_a_palette_tiff_is_laid_over_white() -> None:
    image = Image.new("PA", (2, 1))
    image.putpalette([200, 0, 0, 0, 100, 0])
    image.putpixel((0, 0), (0, 255))
    image.putpixel((1, 0), (1, 0))
    assert pixels(saved(image, "TIFF")).tolist() == [[[200, 0, 0], [255, 255, 255]]]


def test_transparent_palette_entries_become_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 100, 100, 100])
    image.putdata([0, 1, 2])
    some = pixels(saved(image, "PNG", transparency=b"\x00\xff\x00"))
    assert some.tolist() == [[[255, 255, 255], [40, 50, 60], [255, 255, 255]]]
    one = pixels(saved(image, "GIF", transparency=1))
    assert one.tolist() == [[[10, 20, 30], [255, 255, 255], [100, 100, 100]]]
    half = pixels(saved(image, "PNG", transparency=b"\x80"))
    assert np.abs(half[0, 0] - (np.array([10, 20, 30]) * 0.502 + 255 * 0.498)).max() <= 1


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (8, 0, b"\x0a\x14", b"\x00\x14", [[10] * 3, [255] * 3]),
        (1, 0, b"\x40", b"\x00\x01", [[0] * 3, [255] * 3]),
        (1, 0, b"\x40", b"\x00\x00", [[255] * 3, [255] * 3]),
        (16, 0, b"\x0a\x01\x0a\x02", b"\x0a\x02", [[10] * 3, [255] * 3]),
        (8, 2, b"\x01\x02\x03\x04\x05\x06", b"\x00\x04\x00\x05\x00\x06", [[1, 2, 3], [255] * 3]),
    ],
    ids=["grey", "1-bit white", "1-bit black", "16-bit grey", "rgb"],
)
def test_a_transparent_colour_becomes_white(
    depth: int, colour: int, row: bytes, key: bytes, expected: list[list[int]]
) -> None:
    data = png_chunk(b"IDAT", zlib.compress(b"\x00" + row))
    made = png(2, 1, png_chunk(b"tRNS", key), data, depth=depth, colour=colour)
    assert pixels(made).tolist() == [expected]


def test_what_a_gif_frame_leaves_uncovered_and_transparent_is_white() -> None:
    frame = b",\x02\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x4c\x01\x00"
    control = b"!\xf9\x04\x01\x00\x00\x00\x00"  # colour 0 is transparent
    shown = pixels(hostile.gif(4, 1, control, frame))
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[0, 2].tolist() == [255, 0, 0]


def test_cmyk_with_adobes_inversion_takes_the_plain_formula() -> None:
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [60, 120, 30, 40]]], np.uint8)
    picture = np.repeat(np.repeat(inks, 16, 0), 16, 1)
    data = saved(Image.fromarray(picture, "CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data
    ink = picture.astype(np.float64)
    expected = (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255
    assert np.abs(pixels(data) - expected).max() <= 4
    assert np.abs(pixels(saved(Image.fromarray(picture, "CMYK"), "TIFF")) - expected).max() <= 1


def test_ycbcr_tiff_becomes_rgb() -> None:
    picture = Image.fromarray(quadrants())
    data = saved(picture.convert("YCbCr"), "TIFF")
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "YCbCr"
    assert np.abs(pixels(data).astype(int) - quadrants()).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_palette_and_one_bit_pictures_become_rgb(kind: str) -> None:
    palette = Image.fromarray(quadrants()).quantize(4)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(pixels(saved(palette, kind)), expected)
    bits = np.eye(9, 12, dtype=bool)
    one = pixels(saved(Image.fromarray(bits), kind))
    assert np.array_equal(one, np.repeat(bits[..., None], 3, 2) * np.uint8(255))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "JPEG"])
def test_grey_becomes_rgb(kind: str) -> None:
    grey = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None], 16, 0)
    data = saved(Image.fromarray(grey), kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert np.abs(pixels(data).astype(int) - grey[..., None]).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_keeps_its_high_byte(kind: str, order: str) -> None:
    values = np.array([[0, 255, 256, 0x1234, 0xFF00, 0xFFFF]], f"{order}u2")
    data = saved(Image.fromarray(values), kind)
    if kind == "TIFF":
        assert data.startswith(b"II" if order == "<" else b"MM")
    assert pixels(data)[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF, 0xFF]
    assert np.ptp(pixels(data), axis=2).max() == 0


def test_16_bit_colour_keeps_its_high_byte() -> None:
    row = struct.pack(">6H", 0x01FF, 0x02FF, 0x03FF, 0xFE01, 0xFF01, 0xFFFF)
    made = png(2, 1, png_chunk(b"IDAT", zlib.compress(b"\x00" + row)), depth=16)
    assert pixels(made).tolist() == [[[1, 2, 3], [0xFE, 0xFF, 0xFF]]]


@pytest.mark.parametrize(
    ("tags", "raw", "expected"),
    [
        ({258: 12}, b"\x00\x0f\xff", [0, 255]),
        ({258: 16, 262: 0}, struct.pack("<2H", 0, 0xFF00), [255, 0]),
        ({258: 8, 262: 0}, b"\x00\xff", [255, 0]),
    ],
    ids=["12-bit", "16-bit, white is zero", "8-bit, white is zero"],
)
def test_a_tiffs_rarer_greys_are_read(
    tags: dict[int, int], raw: bytes, expected: list[int]
) -> None:
    entries = [(t, d, c, tags.get(t, value)) for t, d, c, value in tiff_page(2, 1, at=110)]
    made = tiff(entries).ljust(110, b"\x00") + raw
    assert pixels(made)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_pixels_without_an_agreed_range_are_refused(mode: str) -> None:
    with pytest.raises(UndecodableImageError, match="8 or 16 bits"):
        decode(saved(Image.new(mode, (8, 8)), "TIFF"), LIMITS)


ANIMATED = ("gif-animated", "apng", "webp-animated", "tiff-pages")


@pytest.mark.parametrize("name", [*ANIMATED, "mpo"])
def test_the_first_of_several_frames_is_read_and_their_number_is_limited(name: str) -> None:
    data = seeds()[name]
    first = np.linspace(0, 255, 24 * 32 * 3).astype(np.uint8).reshape(24, 32, 3)
    frames = 3 if name in ANIMATED else 2
    picture = decode(data, Limits(max_frames=frames))
    assert difference(picture.pixels, first) < 6  # the second frame is noise
    with pytest.raises(TooLargeError, match=f"more than {frames - 1} frames"):
        decode(data, Limits(max_frames=frames - 1))


@pytest.mark.parametrize("name", list(seeds()))
def test_pixels_and_aspect_are_limited_to_the_pixel(name: str) -> None:
    data = seeds()[name]
    picture = decode(data, LIMITS)
    width, height = picture.width, picture.height
    ratio = max(width, height) / min(width, height)
    decode(data, Limits(max_pixels=width * height, max_aspect=ratio))
    with pytest.raises(TooLargeError, match="at most"):
        decode(data, Limits(max_pixels=width * height - 1))
    if ratio > 1:
        with pytest.raises(TooLargeError, match="times the other"):
            decode(data, Limits(max_aspect=ratio - 0.01))


@pytest.mark.parametrize("name", [n for n in seeds() if n not in (*ANIMATED, "mpo")])
def test_a_file_cut_short_is_refused(name: str) -> None:
    data = seeds()[name]
    with pytest.raises(UndecodableImageError):
        decode(data[: len(data) // 2], LIMITS)


@pytest.mark.parametrize("size", [(640, 480), (1001, 333), (300, 299)])
@pytest.mark.parametrize("scale", [1.5, 1.0, 0.6, 0.4, 0.2, 0.1, 0.01])
def test_a_reduced_jpeg_is_never_smaller_than_needed_and_looks_the_same(
    size: tuple[int, int], scale: float
) -> None:
    ripples = np.sin(np.mgrid[: size[1], : size[0]].sum(0) / 40) * 100 + 128
    source = np.dstack([ripples, ripples[::-1], ripples[:, ::-1]]).astype(np.uint8)
    data = saved(Image.fromarray(source), "JPEG", quality=95)
    needed = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    reduced, full = decode(data, LIMITS, lambda _: needed), decode(data, LIMITS)
    assert (reduced.width, reduced.height) == size == full.pixels.size
    factor = round(size[0] / reduced.pixels.width)
    assert reduced.box == pytest.approx((0, 0, size[0] / factor, size[1] / factor))
    for decoded, stored, wanted in zip(reduced.pixels.size, size, needed, strict=True):
        assert min(wanted, stored) <= decoded <= stored
    small = (size[0] // 16, size[1] // 16)
    expected = np.asarray(full.pixels.resize(small, Image.Resampling.BILINEAR))
    shrunk = reduced.pixels.resize(small, Image.Resampling.BILINEAR, box=reduced.box)
    assert difference(shrunk, expected) < 2


_REFUSE = """
import sys
from pathlib import Path
from service.errors import TooLargeError
from service.images import Limits, decode

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

files = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
before = peak()
for data in files:
    try:
        decode(data, Limits())
    except TooLargeError:
        continue
    sys.exit("a bomb was let in")
refused = peak() - before
decode(files[0], Limits(max_pixels=60_000_000))
print(refused, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_decompression_bomb_is_refused_by_its_header_alone(tmp_path: Path) -> None:
    """The files claim up to 60,000 x 60,000 pixels; a few would really decode to 150 MB."""
    black = Image.new("L", (7100, 7100))
    real = [
        saved(black, "PNG", compress_level=1),
        saved(black, "JPEG"),
        saved(black, "GIF"),
        saved(black, "TIFF", compression="tiff_adobe_deflate"),
    ]
    for number, data in enumerate([*real, *(odd.data for odd in hostile.too_large())]):
        (tmp_path / f"{number:03}").write_bytes(data)
    command = [sys.executable, "-c", _REFUSE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused_mib, decoded_mib = map(float, done.stdout.split())
    assert refused_mib < 24  # readers, and the largest file twice
    assert decoded_mib > 40  # so a decoded bomb would have been seen


def test_damaged_files_leave_nothing_on_standard_error() -> None:
    """Neither Pillow's warnings, which Python would remember for ever, nor libtiff's lines."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hostile\n"
        "from service.images import Limits, decode\n"
        "from service.errors import SightlineError\n"
        "for name, data in hostile.mutations(500, seed=3):\n"
        "    if name.split(':')[1].startswith(('tiff', 'jpeg')):\n"
        "        try: decode(data, Limits())\n"
        "        except SightlineError: pass\n"
        "import PIL.TiffImagePlugin\n"
        "print(set(getattr(PIL.TiffImagePlugin, '__warningregistry__', ())) - {'version'})\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == "set()\n"
