"""Bytes to an upright RGB picture: the only place where an encoded image is opened.

What becomes of each kind of pixel:

- grey, 1-bit and palette pictures become RGB;
- 16-bit grey keeps its high byte (65535 becomes 255), 12-bit grey its high 8 bits;
- alpha, a transparent colour or a transparent palette entry is laid over white;
- CMYK (Adobe's inversion undone) and YCbCr take Pillow's plain formulas, without ICC profiles;
- 32-bit integer, floating-point and Lab pictures have no agreed range here and are refused;
- of several frames the first is read;
- the EXIF orientation is applied, so width and height are those a person sees.
"""

import contextlib
import ctypes
import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    _imaging,
)

from service.errors import TooLargeError, UndecodableImageError, UnsupportedImageError
from service.structure import count_frames, webp_canvas

# The service applies its own, stricter limit to the header before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of damaged metadata. Python remembers every different text for ever, and the texts
# quote the file: a slow leak, steered by the client.
warnings.filterwarnings("ignore", module=r"PIL\.")
# libtiff writes a line to standard error for every line of a picture that is damaged.
with contextlib.suppress(OSError, AttributeError):  # it may be linked in without its symbols
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

# Pillow imports its readers at the first file otherwise, which costs the first request 50 ms.
_READERS = (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

_KIND_OF_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
_FROM_RIGHT, _FROM_BOTTOM = (2, 3, 6, 7), (3, 4, 7, 8)

Size = tuple[int, int]
"""Width and height in pixels."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may ask of us; every limit is checked before a pixel is decoded.

    Attributes:
        max_pixels: width times height.
        max_frames: frames of an animation or pages of a TIFF.
        max_aspect: the longer side over the shorter.
    """

    max_pixels: int = 50_000_000
    max_frames: int = 1000
    max_aspect: float = 50.0

    def check(self, width: int, height: int) -> None:
        """Raise TooLargeError (UndecodableImageError for an empty picture) past a limit."""
        if width < 1 or height < 1:
            raise UndecodableImageError(f"the picture has no pixels ({width}x{height})")
        if width * height > self.max_pixels:
            raise TooLargeError(
                f"the picture is {width}x{height}, {width * height:,} pixels; "
                f"at most {self.max_pixels:,} are accepted"
            )
        if max(width, height) > self.max_aspect * min(width, height):
            raise TooLargeError(
                f"the picture is {width}x{height}; one side may be at most "
                f"{self.max_aspect:g} times the other"
            )

    def check_frames(self, frames: int) -> None:
        """Raise TooLargeError when the picture has more frames than allowed."""
        if frames > self.max_frames:
            raise TooLargeError(
                f"the picture has more than {self.max_frames} frames; send one frame"
            )


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright RGB picture.

    Attributes:
        pixels: mode RGB; may be smaller than the original when less was asked for.
        width: of the upright original, in pixels.
        height: of the upright original, in pixels.
        box: left, top, right and bottom of the original in ``pixels``. A reduced JPEG ends within
            its last pixels; the rest of those is padding, to the left or above once turned.
    """

    pixels: Image.Image
    width: int
    height: int
    box: Box


def decode(
    data: bytes | memoryview, limits: Limits, needed: Callable[[Size], Size] | None = None
) -> Picture:
    """Decode an encoded image.

    Args:
        data: the bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file.
        limits: checked against the header, before decoding.
        needed: given the stored size, the smallest size that still serves; a JPEG is then
            decoded at 1/2, 1/4 or 1/8 scale where that is no smaller. ``None``: all pixels.

    Raises:
        UnsupportedImageError: the bytes are not one of the formats.
        TooLargeError: a limit is passed.
        UndecodableImageError: the header or the pixels are damaged, or of a kind we do not read.
    """
    kind = sniff(data)
    data = bytes(data)
    if kind == "WEBP":
        limits.check(*webp_canvas(data))  # opening the file allocates its whole canvas
    try:
        frames = count_frames(kind, data, limits.max_frames)
        image = Image.open(io.BytesIO(data), formats=[kind])
        limits.check(*image.size)
        if kind not in ("GIF", "TIFF"):  # whose frames Pillow would decode or load to count them
            frames = getattr(image, "n_frames", 1)
        limits.check_frames(frames)
        stored = image.size
        drafted = image.draft(None, needed(stored)) if kind == "JPEG" and needed else None
        image.load()
        orientation = orientation_of(image)
        pixels = _to_rgb(image)
        if orientation in _UPRIGHT:
            pixels = pixels.transpose(_UPRIGHT[orientation])
    except (TooLargeError, UndecodableImageError):
        raise
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them raise
        raise UndecodableImageError(
            f"the {kind} file is damaged or incomplete ({_reason(error)})"
        ) from error
    if drafted is None:
        return Picture(pixels, *pixels.size, (0, 0, *pixels.size))
    width, height = stored[::-1] if orientation in SIDEWAYS else stored
    return Picture(pixels, width, height, _turned(drafted[1], pixels.size, orientation))


def sniff(data: bytes | memoryview) -> str:
    """The Pillow name of the format the first bytes announce.

    Raises:
        UnsupportedImageError: none of those we read.
    """
    head = bytes(data[:16])
    for magic, kind in _KIND_OF_MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    raise UnsupportedImageError(
        "the bytes are empty"
        if not head
        else f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file"
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray(_high_byte(image)).convert("RGB")
    if image.mode in ("I", "F", "LAB"):
        raise UndecodableImageError(
            f"pixels of kind {image.mode!r} (32-bit, floating-point or Lab) are not read; "
            "save the picture with 8 or 16 bits a channel"
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGB", layer.size, (255, 255, 255))
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return image.convert("RGB")


def _turned(box: Box, size: Size, orientation: int) -> Box:
    """The box of a stored picture, which begins at (0, 0), in one turned upright, of ``size``."""
    width, height = box[2:][::-1] if orientation in SIDEWAYS else box[2:]
    left = size[0] - width if orientation in _FROM_RIGHT else 0
    top = size[1] - height if orientation in _FROM_BOTTOM else 0
    return left, top, left + width, top + height


def _high_byte(image: Image.Image) -> NDArray[np.uint8]:
    """12- and 16-bit grey as ``uint8[H, W]``, with what Pillow leaves undone for these alone."""
    grey = np.asarray(image).astype(np.uint16)
    bits, white_is_zero = 16, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        (bits,) = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))
        white_is_zero = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    high = (grey >> (bits - 8)).astype(np.uint8)
    if white_is_zero:
        high = ~high
    if "transparency" in image.info:
        high[grey == image.info["transparency"]] = 255
    return high


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an opened picture, 1 to 8; 1 where there is none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF says nothing about the pixels
        return 1


def _reason(error: Exception) -> str:
    if isinstance(error, (struct.error, KeyError, IndexError, TypeError)):
        return "its header is inconsistent"
    return str(error).split("<_io")[0].strip().rstrip(".") or type(error).__name__
