"""How many parts a file is cut into: walked before Pillow opens it.

Pillow goes through a container's parts in Python, and libjpeg goes over the whole picture once a
scan, so that a small file cut into very many parts would hold a thread for minutes. The walks here
cost microseconds on an honest file, touch no pixel, and refuse the other kind.
"""

import re
import struct
from collections.abc import Callable, Mapping

from service.errors import TooLargeError

# No more parts than this, plus one for every 128 bytes; an honest 4 MB GIF has 16,000.
MAX_PARTS = 100_000
# Encoders write 1 to 20; libtiff and djpeg draw the line at 100 too.
MAX_SCANS = 100
# Pillow decodes run-length BMP pixel by pixel in Python.
MAX_RLE_PIXELS = 4_000_000

_BEFORE_SCAN = re.compile(rb"\xff[\x01-\xfe]")
_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed zero nor a restart
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}

_TIFF_COMPRESSED_SIZES = (279, 325)  # StripByteCounts, TileByteCounts
_TIFF_OFFSETS = (273, 324)  # StripOffsets, TileOffsets


class _Parts:
    """Counts parts and refuses one too many."""

    def __init__(self, data: bytes) -> None:
        self.left = MAX_PARTS + len(data) // 128

    def add(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise TooLargeError("the file is cut into too many parts; save the picture anew")


def count_frames(kind: str, data: bytes, max_frames: int) -> int:
    """Walk a file's parts.

    Args:
        kind: the Pillow name of the format.
        data: the whole file.
        max_frames: frames are counted to one past this.

    Returns:
        The frames of a GIF or the pages of a TIFF; 1 for the other formats, whose header says.

    Raises:
        TooLargeError: the file has more parts than any honest one.
        struct.error, IndexError: it ends within its header.
    """
    walk = _WALKS.get(kind)
    return walk(data, max_frames) if walk else 1


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height in a WebP file's header; (1, 1) if there is none, which Pillow refuses.

    Opening a WebP file allocates its whole canvas.
    """
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a" and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 1, 1


def _jpeg(data: bytes, _: int) -> int:
    """Count the segments before the first scan and, of several scans, the scans (T.81, B)."""
    parts, scans, several, at = _Parts(data), 0, True, 2
    components, progressive = 0, False
    while several and (found := (_AFTER_SCAN if scans else _BEFORE_SCAN).search(data, at)):
        # Pillow goes byte by byte through what lies between two segments.
        parts.add(1 if scans else 1 + found.start() - at)
        at, marker = found.end(), data[found.end() - 1]
        if marker in _START_OF_FRAME:
            components = data[at + 7]
            progressive = marker in _PROGRESSIVE
        elif marker == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise TooLargeError(f"the JPEG has more than {MAX_SCANS} scans")
            several = not components or progressive or data[at + 2] < components
        elif marker == _END_OF_IMAGE and scans:
            break
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    return 1


def _png(data: bytes, _: int) -> int:
    """Count the chunks up to the end, and the colour profiles, each a decompression of its own."""
    parts, profiles, at = _Parts(data), 0, 8
    while at + 8 <= len(data):
        parts.add()
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"iCCP":
            profiles += 1
            if profiles > 1:
                raise TooLargeError("the PNG has more than one colour profile")
        if kind == b"IEND":
            break
        at += 12 + length
    return 1


def _gif(data: bytes, max_frames: int) -> int:
    """Walk the blocks (GIF89a, section 15 on), counting image descriptors."""
    parts = _Parts(data)

    def skip_sub_blocks(at: int) -> int:
        blocks = 0
        while at < len(data) and data[at]:
            blocks += 1
            at += data[at] + 1
        parts.add(blocks)
        return at + 1

    def table_bytes(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    at, frames = 13 + table_bytes(data[10]), 0
    while at + 1 < len(data) and frames <= max_frames:
        parts.add()
        if data[at] == 0x2C and at + 9 < len(data):
            frames += 1
            at = skip_sub_blocks(at + 11 + table_bytes(data[at + 9]))
        elif data[at] == 0x21:
            at = skip_sub_blocks(at + 2)
        elif data[at] == 0x3B or frames:
            break
        else:
            at += 1  # Pillow looks byte by byte for the first block
    return frames


def _bmp(data: bytes, _: int) -> int:
    """Bound the work of Pillow's run-length decoder."""
    if len(data) >= 34 and data[14] >= 40 and struct.unpack_from("<I", data, 30)[0] in (1, 2):
        width, height = struct.unpack_from("<ii", data, 18)
        pixels = abs(width * height)
        if pixels > MAX_RLE_PIXELS or len(data) > 4 * pixels + 4096:
            raise TooLargeError(
                f"run-length BMP is read up to {MAX_RLE_PIXELS:,} pixels; save the picture as PNG"
            )
    return 1


def _tiff(data: bytes, max_frames: int) -> int:
    """Follow the directories (TIFF 6.0, section 2), counting pages, entries and strips."""
    parts, order = _Parts(data), "<" if data[:2] == b"II" else ">"
    frames, seen = 0, set[int]()
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    while at and at not in seen and at + 2 <= len(data) and frames <= max_frames:
        seen.add(at)
        frames += 1
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        parts.add(entries)
        if frames == 1:
            parts.add(_tiff_strips(data, order, at + 2, entries))
        at += 2 + 12 * entries
        at = struct.unpack_from(f"{order}I", data, at)[0] if at + 4 <= len(data) else 0
    return frames


def _tiff_strips(data: bytes, order: str, at: int, entries: int) -> int:
    """How many strips or tiles a page has.

    Raises:
        TooLargeError: together they claim far more bytes than there are, the same ones many times.
    """
    strips = 0
    for start in range(at, min(at + 12 * entries, len(data) - 11), 12):
        tag, dtype, count, where = struct.unpack_from(f"{order}HHII", data, start)
        if tag in _TIFF_OFFSETS:
            strips = max(strips, count)
        elif tag in _TIFF_COMPRESSED_SIZES and dtype in (3, 4) and 1 < count <= MAX_PARTS:
            width = 2 if dtype == 3 else 4
            where = start + 8 if count * width <= 4 else where
            raw = data[where : where + count * width]
            raw = raw[: len(raw) // width * width]
            sizes = struct.unpack(f"{order}{len(raw) // width}{'H' if width == 2 else 'I'}", raw)
            if sum(min(size, len(data)) for size in sizes) > 4 * len(data):
                raise TooLargeError("the TIFF's strips overlap; save the picture anew")
    return strips


_WALKS: Mapping[str, Callable[[bytes, int], int]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": _tiff,
}
