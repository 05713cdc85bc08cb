"""Small pictures as files: every format, every orientation."""

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    """Small valid files of every format, with the features their readers treat apart."""
    ramp = np.linspace(0, 255, 24 * 32 * 3).astype(np.uint8).reshape(24, 32, 3)
    rgb = Image.fromarray(ramp)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    alpha = rgb.copy()
    alpha.putalpha(rgb.convert("L"))
    grey16 = Image.fromarray(np.linspace(0, 65535, 24 * 32).astype(np.uint16).reshape(24, 32))
    palette = rgb.quantize(16)
    frames: dict[str, Any] = {"save_all": True, "append_images": [noise, rgb]}
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description that does not fit into four bytes"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {
        "jpeg": saved(noise, "JPEG", exif=exif, icc_profile=profile, comment=b"hello"),
        "jpeg-progressive": saved(noise, "JPEG", progressive=True, quality=95, subsampling=0),
        "jpeg-cmyk": saved(rgb.convert("CMYK"), "JPEG"),
        "jpeg-grey-restarts": saved(rgb.convert("L"), "JPEG", restart_marker_blocks=2),
        "mpo": saved(rgb, "MPO", save_all=True, append_images=[noise]),
        "png": saved(alpha, "PNG", exif=exif, icc_profile=profile),
        "png-16": saved(grey16, "PNG"),
        "png-palette": saved(palette, "PNG", transparency=3, bits=4),
        "apng": saved(rgb, "PNG", duration=50, **frames),
        "webp": saved(noise, "WEBP", exif=exif, icc_profile=profile),
        "webp-lossless": saved(alpha, "WEBP", lossless=True),
        "webp-animated": saved(rgb, "WEBP", duration=50, **frames),
        "gif": saved(palette, "GIF", transparency=1, comment=b"hello"),
        "gif-animated": saved(rgb, "GIF", duration=50, loop=0, **frames),
        "bmp": saved(rgb, "BMP"),
        "bmp-palette": saved(palette, "BMP"),
        "bmp-rle": bmp(
            8, 8, 1, b"\x05\x01\x00\x03\x01\x02\x03\x00\x00\x02\x00\x06" + b"\x08\x09" * 8
        ),
        "tiff": saved(rgb, "TIFF", exif=exif, icc_profile=profile),
        "tiff-big-endian": saved(Image.fromarray(np.asarray(grey16).astype(">u2")), "TIFF"),
        "tiff-lzw": saved(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": saved(alpha, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": saved(rgb, "TIFF", compression="jpeg"),
        "tiff-fax": saved(rgb.convert("1"), "TIFF", compression="group4"),
        "tiff-packbits": saved(palette, "TIFF", compression="packbits"),
        "tiff-pages": saved(rgb, "TIFF", **frames),
    }


def bmp(width: int, height: int, compression: int, data: bytes, bits: int = 8) -> bytes:
    """A BMP with a colour table that is no grey ramp."""
    table = bytes(range(255, -1, -1)) * 4 if bits == 8 else b""
    start = 54 + len(table)
    head = struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0
    )
    return head + info + table + data


def stored_as(orientation: int, upright: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a camera stores of an upright picture (TIFF 6.0, tag 274)."""
    turned = upright.transpose(1, 0, 2)
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: turned,  # row 0 is the visual left, column 0 the top
        6: turned[::-1],  # row 0 is the right, column 0 the top
        7: turned[::-1, ::-1],  # row 0 is the right, column 0 the bottom
        8: turned[:, ::-1],  # row 0 is the left, column 0 the bottom
    }[orientation]


def exif(orientation: int) -> bytes:
    """EXIF data with an orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()
