"""Pictures nobody should send: valid files of every format, ways to damage them, and made traps."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pictures import bmp, saved, seeds
from PIL import Image, TiffImagePlugin

Damage = Callable[[random.Random, bytearray], None]


@dataclass(frozen=True)
class Odd:
    """A hostile file and what becomes of it.

    ``statuses``: every answer that is acceptable.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...]


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` damaged files, the same ones for the same seed, with names that say how."""
    chance = random.Random(seed)
    originals = list(seeds().items())
    everything = [data for _, data in originals]
    for number in range(count):
        name, original = originals[number % len(originals)]
        data = bytearray(original)
        done = []
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            damage = chance.choice(DAMAGES)
            damage(chance, data)
            done.append(damage.__name__.strip("_"))
        if chance.random() < 0.1:
            _spliced(chance, data, chance.choice(everything))
            done.append("spliced")
        yield f"{number}:{name}:{'+'.join(done)}", bytes(data)


def _at(chance: random.Random, data: bytearray) -> int:
    """A place, in the header as often as anywhere."""
    return chance.randrange(min(len(data), chance.choice((32, 128, 512, 1 << 20))) or 1)


def _bits_flipped(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 2, 8, 64))):
        if data:
            data[_at(chance, data)] ^= 1 << chance.randrange(8)


def _bytes_set(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 3, 16))):
        if data:
            data[_at(chance, data)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _truncated(chance: random.Random, data: bytearray) -> None:
    del data[_at(chance, data) :]


def _cut_out(chance: random.Random, data: bytearray) -> None:
    at = _at(chance, data)
    del data[at : at + chance.choice((1, 2, 4, 12, 100))]


def _doubled(chance: random.Random, data: bytearray) -> None:
    at = _at(chance, data)
    block = data[at : at + chance.choice((1, 4, 12, 64, 300))]
    data[at:at] = block * chance.choice((1, 2, 20))


def _length_edited(chance: random.Random, data: bytearray) -> None:
    value = chance.choice((0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(data)))
    width = chance.choice((2, 4))
    order = chance.choice(("little", "big"))
    at = _at(chance, data)
    data[at : at + width] = (value & (256**width - 1)).to_bytes(width, order)


def _noise_added(chance: random.Random, data: bytearray) -> None:
    at = _at(chance, data)
    data[at:at] = chance.randbytes(chance.choice((1, 7, 100, 1000)))


def _swapped(chance: random.Random, data: bytearray) -> None:
    a, b, size = _at(chance, data), _at(chance, data), chance.choice((1, 4, 32))
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _spliced(chance: random.Random, data: bytearray, other: bytes) -> None:
    at = _at(chance, data)
    data[at:] = other[chance.randrange(len(other)) :]


def _checksums_mended(chance: random.Random, data: bytearray) -> None:
    """Change a PNG's chunk and make its checksum right again, so that the change is read."""
    if not data.startswith(b"\x89PNG"):
        return _bits_flipped(chance, data)
    at, wanted = 8, chance.randrange(6)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return None
        if wanted == 0 and length:
            data[at + 8 + chance.randrange(length)] = chance.randrange(256)
            struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
            return None
        wanted -= 1
        at = end + 4
    return None


DAMAGES: tuple[Damage, ...] = (
    _bits_flipped,
    _bytes_set,
    _truncated,
    _cut_out,
    _doubled,
    _length_edited,
    _noise_added,
    _swapped,
    _checksums_mended,
)


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of these chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND")


def gif(width: int, height: int, *blocks: bytes) -> bytes:
    """A GIF of these blocks, with a global table of two colours."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0)
    return b"GIF89a" + screen + b"\x00\x00\x00\xff\x00\x00" + b"".join(blocks) + b";"


def gif_frame(width: int, height: int) -> bytes:
    """One frame; its LZW data describes a single pixel."""
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"


def webp(*chunks: bytes) -> bytes:
    """A RIFF container of these chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk, padded to an even length."""
    return kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def webp_header(width: int, height: int, flags: int = 0) -> bytes:
    """The chunk that states an extended file's canvas."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp_chunk(b"VP8X", struct.pack("<I", flags) + canvas)


Entry = tuple[int, int, int, int]
"""Tag, type, count, and value or offset of a TIFF directory's entry."""


def tiff(entries: list[Entry], following: int = 0, tail: bytes = b"") -> bytes:
    """A little-endian TIFF with one directory at byte 8."""
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    count = struct.pack("<H", len(entries))
    return b"II*\x00\x08\x00\x00\x00" + count + directory + struct.pack("<I", following) + tail


def tiff_page(width: int, height: int, strips: int = 1, at: int = 200) -> list[Entry]:
    """The entries of an uncompressed 8-bit grey page."""
    return [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, strips, at),
        (278, 4, 1, max(1, height // strips)),
        (279, 4, strips, at),
    ]


def jpeg_with(*segments: bytes) -> bytes:
    """A small valid JPEG with segments put in after its first marker."""
    good = seeds()["jpeg-progressive"]
    return good[:2] + b"".join(segments) + good[2:]


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """A segment with its length."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg_of_scans(scans: int, size: int = 64) -> bytes:
    """A valid progressive JPEG whose last scan is repeated."""
    good = saved(Image.new("RGB", (size, size), (90, 20, 10)), "JPEG", progressive=True)
    last = good[good.rindex(b"\xff\xda") : -2]
    return good[:-2] + last * scans + good[-2:]


def exif_of(entries: list[Entry], following: int = 0) -> bytes:
    """EXIF data of one directory."""
    return b"Exif\x00\x00" + tiff(entries, following)


def too_large() -> Iterator[Odd]:
    """Files that claim more than the default limits allow: refused by their header alone."""
    for width, height in ((60000, 60000), (7100, 7100)):
        yield Odd(
            f"png {width}", png(width, height, png_chunk(b"IDAT", zlib.compress(b""))), (413,)
        )
        yield Odd(f"gif {width}", gif(width, height, gif_frame(width, height)), (413,))
        yield Odd(f"gif frame {width}", gif(1, 1, gif_frame(width, height)), (413,))
        yield Odd(f"bmp {width}", bmp(width, height, 0, b"", bits=24), (413,))
        yield Odd(f"bmp upside down {width}", bmp(width, -height, 0, b"", bits=24), (413,))
        yield Odd(f"tiff {width}", tiff(tiff_page(width, height)), (413,))
        frame = struct.pack(">BHHB", 8, height, width, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
        scan = jpeg_segment(0xDA, b"\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00")
        header = b"\xff\xd8" + jpeg_segment(0xC0, frame) + scan
        yield Odd(f"jpeg {width}", header + b"\x00" * 64 + b"\xff\xd9", (413,))
        canvas = webp_header(width, height)
        pixel = webp_chunk(b"VP8L", b"\x2f\x00\x00\x00\x00\x88\x88\x08")
        yield Odd(f"webp canvas {width}", webp(canvas, pixel), (413,))
    largest = struct.pack("<BI", 0x2F, 0x3FFF | 0x3FFF << 14)
    yield Odd("webp lossless 16384", webp(webp_chunk(b"VP8L", largest + b"\x00" * 8)), (413,))
    lossy = b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 0x3FFF, 0x3FFF)
    yield Odd("webp lossy 16383", webp(webp_chunk(b"VP8 ", lossy + b"\x00" * 8)), (413,))
    yield Odd("a ribbon", saved(Image.new("L", (5100, 100)), "PNG"), (413,))
    frames = webp_chunk(b"ANIM", b"\x00" * 6) + 1001 * webp_chunk(
        b"ANMF", b"\x00" * 16 + webp_chunk(b"VP8L", b"\x2f\x00\x00\x00\x00\x88\x88\x08")
    )
    yield Odd("webp frames", webp(webp_header(1, 1, flags=2), frames), (413,))
    yield Odd("gif frames", gif(1, 1, gif_frame(1, 1) * 100_000), (413,))
    control = png_chunk(b"acTL", struct.pack(">II", 1001, 0))
    pixel = png_chunk(b"IDAT", zlib.compress(b"\x00" * 4))
    yield Odd("apng frames", png(1, 1, control, pixel), (413,))


def of_many_parts() -> Iterator[Odd]:
    """Files cut into so many parts that going through them would take minutes."""
    yield Odd("jpeg scans", jpeg_of_scans(101), (413,))
    yield Odd("jpeg segments", jpeg_with(jpeg_segment(0xE5, b"") * 150_000), (413,))
    yield Odd("jpeg restarts for segments", jpeg_with(b"\xff\xd0" * 150_000), (413,))
    yield Odd("jpeg ends before it begins", jpeg_with(b"\xff\xd9" * 150_000), (413,))
    yield Odd("jpeg fill bytes", jpeg_with(b"\xff" * 300_000), (413,))
    yield Odd("jpeg junk", jpeg_with(jpeg_segment(0xE5, b""), b"\x00" * 300_000), (413,))
    pixel = png_chunk(b"IDAT", zlib.compress(b"\x00" * 4))
    yield Odd("png chunks", png(1, 1, png_chunk(b"teSt") * 150_000, pixel), (413,))
    yield Odd("png chunks behind", png(1, 1, pixel, png_chunk(b"teSt") * 150_000), (413,))
    profile = png_chunk(b"iCCP", b"x\x00\x00" + zlib.compress(b"\x00" * 100_000))
    yield Odd("png profiles", png(1, 1, profile * 2, pixel), (413,))
    yield Odd(
        "gif comment", gif(1, 1, b"!\xfe", b"\x01a" * 150_000, b"\x00", gif_frame(1, 1)), (413,)
    )
    yield Odd("gif extensions", gif(1, 1, b"!\xf9\x00" * 150_000, gif_frame(1, 1)), (413,))
    yield Odd("gif junk", gif(1, 1, b"\x00" * 150_000, gif_frame(1, 1)), (413,))
    yield Odd("tiff strips", tiff(tiff_page(500, 500, 150_000)) + b"\x00" * 10_000, (413,))
    yield Odd("tiff directories that overlap", _overlapping_directories(), (413,))
    sizes = struct.pack("<100I", *[9000] * 100)
    strips = [*tiff_page(500, 500, 100, 110)[:-1], (279, 4, 100, 110)]
    yield Odd("tiff strips that overlap", tiff(strips, tail=sizes + b"\x00" * 9000), (413,))
    yield Odd("bmp run lengths", bmp(7000, 7000, 1, b"\x01\x05\x00\x00" * 7000), (413,))
    yield Odd("bmp runs to nowhere", bmp(8, 8, 1, b"\x00\x02\x00\x00" * 100_000), (413,))


def _overlapping_directories() -> bytes:
    """Directories of 60,000 entries, each beginning 12 bytes after the one before."""
    entries, pages, first = 60_000, 900, 110
    data = bytearray(tiff(tiff_page(8, 8, at=8), following=first).ljust(first, b"\x00"))
    data += struct.pack("<HHII", entries, 1, 1, 0) * (entries + pages + 1)
    for page in range(pages):
        at = first + 12 * page
        struct.pack_into("<I", data, at + 2 + 12 * entries, at + 12)
    return bytes(data)


def oddities() -> Iterator[Odd]:
    """Everything else that has gone wrong somewhere: pretenders, bombs, loops, nonsense."""
    good = seeds()
    for name, data in good.items():
        yield Odd(f"{name} with a tail", data + b"<script>alert(1)</script>" * 100, (200,))
        yield Odd(f"{name} twice", data + data, (200,))
        yield Odd(f"{name} in a tail", b"\x00" + data, (415,))
        yield Odd(f"half of {name}", data[: len(data) // 2], (200, 422))
        yield Odd(f"{name}, the first 16 bytes", data[:16], (422,))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", good["png"])
    yield Odd("zip", archive.getvalue(), (415,))
    yield Odd("png and zip", good["png"] + archive.getvalue(), (200,))
    yield Odd("gif and html", b"GIF89a/*<html>*/=1;", (413, 422))
    yield Odd("bmp and script", b"BM/*" + b"x" * 60 + b"*/=1;alert(1)", (413, 422))
    for name, text in {
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "pdf": b"%PDF-1.7\n1 0 obj<<>>endobj",
        "html": b"<!doctype html><img src=x onerror=alert(1)>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run",
        "zeros": b"\x00" * 10_000,
        "ones": b"\xff" * 10_000,
        "one byte": b"\xff",
        "jpeg 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00" * 100,
        "heic": b"\x00\x00\x00\x18ftypheic" + b"\x00" * 100,
        "icon": b"\x00\x00\x01\x00\x01\x00" + b"\x00" * 100,
        "psd": b"8BPS\x00\x01" + b"\x00" * 100,
        "big tiff": b"II+\x00\x08\x00\x00\x00" + b"\x00" * 100,
        "wave": b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\x00" * 100,
    }.items():
        yield Odd(name, text, (415,))
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*"):
        yield Odd(f"only {magic!r}", magic, (422,))
        yield Odd(f"{magic!r} and zeros", magic + b"\x00" * 1000, (422,))
        yield Odd(f"{magic!r} and ones", magic + b"\xff" * 1000, (413, 422))
    yield Odd("webp of nothing", webp(), (422,))
    yield from _odd_pngs()
    yield from _odd_jpegs(good["jpeg"])
    yield from _odd_tiffs()
    yield from _odd_webps(good["webp"])
    yield Odd("gif without a frame", gif(8, 8), (422,))
    yield Odd("gif of no size", gif(0, 0, gif_frame(0, 0)), (422,))
    yield Odd("gif with its frame outside", gif(8, 8, gif_frame(20, 20)), (200, 422))
    yield Odd("bmp of no size", bmp(0, 0, 0, b"", bits=24), (422,))
    yield Odd("bmp of negative width", bmp(-8, 8, 0, b"\x00" * 200, bits=24), (413, 422))
    yield Odd("bmp as jpeg", bmp(8, 8, 4, good["jpeg"], bits=24), (422,))
    yield Odd("bmp without pixels", bmp(1000, 1000, 0, b"", bits=24), (422,))


def _odd_pngs() -> Iterator[Odd]:
    pixel = png_chunk(b"IDAT", zlib.compress(b"\x00" * 4))
    mebibytes = zlib.compress(b"\x00" * (64 << 20), 9)
    yield Odd(
        "png text bomb", png(1, 1, png_chunk(b"zTXt", b"x\x00\x00" + mebibytes), pixel), (422,)
    )
    many = png_chunk(b"zTXt", b"x\x00\x00" + zlib.compress(b"\x00" * 1_000_000)) * 100
    yield Odd("png text bombs", png(1, 1, many, pixel), (422,))
    itxt = png_chunk(b"iTXt", b"x\x00\x01\x00\x00\x00" + mebibytes)
    yield Odd("png international text bomb", png(1, 1, itxt, pixel), (422,))
    profile = png_chunk(b"iCCP", b"x\x00\x00" + mebibytes)
    yield Odd("png profile bomb", png(1, 1, profile, pixel), (422,))
    junk = png_chunk(b"iCCP", b"x\x00\x00" + b"junk" * 100)
    yield Odd("png junk profile", png(1, 1, junk, pixel), (200,))
    yield Odd(
        "png of more pixels than it says", png(1, 1, png_chunk(b"IDAT", mebibytes)), (200, 422)
    )
    yield Odd("png of fewer pixels", png(100, 100, pixel), (422,))
    yield Odd("png without pixels", png(8, 8), (422,))
    yield Odd("png of no size", png(0, 0, pixel), (422,))
    yield Odd("png of negative size", png(0xFFFFFFFF, 1, pixel), (413, 422))
    yield Odd("png palette missing", png(1, 1, pixel, colour=3), (200, 422))
    yield Odd("png of 3 bits", png(1, 1, pixel, depth=3), (422,))
    exif = png_chunk(b"eXIf", exif_of([(0x0112, 3, 1, 6)], following=8)[6:])
    yield Odd("png exif that loops", png(1, 1, exif, pixel), (200,))
    text = b"Raw profile type exif\x00\x00" + zlib.compress(b"\nexif\n 8\n" + b"zz" * 50)
    yield Odd("png exif of no hex", png(1, 1, png_chunk(b"zTXt", text), pixel), (200,))
    control = png_chunk(b"acTL", struct.pack(">II", 2, 0))
    nothing = png_chunk(b"acTL", struct.pack(">II", 0, 0))
    frame = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0)
    outside = struct.pack(">IIIIIHHBB", 0, 9, 9, 5, 5, 1, 1, 0, 0)
    for name, chunks in {
        "no frames": (nothing, pixel),
        "frames that are missing": (control, png_chunk(b"fcTL", frame), pixel),
        "a frame outside": (control, png_chunk(b"fcTL", outside), pixel),
        "frames out of order": (control, png_chunk(b"fdAT", b"\x00\x00\x00\x09" + b"x"), pixel),
        "two controls": (control, control, pixel),
        "a short control": (png_chunk(b"acTL", b"\x00"), pixel),
        "a short frame": (control, png_chunk(b"fcTL", b"\x00"), pixel),
    }.items():
        yield Odd(f"apng with {name}", png(1, 1, *chunks), (200, 422))


def _odd_jpegs(good: bytes) -> Iterator[Odd]:
    yield Odd("jpeg without a picture", b"\xff\xd8\xff\xd9", (422,))
    yield Odd("jpeg of a hundred pictures", good * 100, (200,))
    yield Odd("jpeg ends early", good[:-2], (200, 422))
    for name, segment in {
        "exif that loops": jpeg_segment(0xE1, exif_of([(0x8769, 4, 1, 8)], following=8)),
        "exif in exif": jpeg_segment(
            0xE1, exif_of([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8)], following=8)
        ),
        "exif that repeats": jpeg_segment(
            0xE1, exif_of([(tag, 7, 60_000, 8) for tag in range(1000, 6000)])[:65_000]
        ),
        "exif cut off": jpeg_segment(0xE1, exif_of([(0x0112, 3, 1, 6)])[:20]),
        "exif of junk": jpeg_segment(0xE1, b"Exif\x00\x00" + b"\xff" * 1000),
        "exif twice": jpeg_segment(0xE1, exif_of([(0x0112, 3, 1, 6)])) * 2,
        "orientation 99": jpeg_segment(0xE1, exif_of([(0x0112, 3, 1, 99)])),
        "orientation in words": jpeg_segment(0xE1, exif_of([(0x0112, 2, 4, 0x00636261)])),
        "orientations": jpeg_segment(0xE1, exif_of([(0x0112, 3, 2, 0x00060006)])),
        "resolution of nothing": jpeg_segment(
            0xE1, exif_of([(0x011A, 5, 1, 8), (0x0128, 3, 1, 3), (0x0112, 5, 1, 8)])
        ),
        "a profile of junk": jpeg_segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + b"junk" * 1000),
        "a profile in missing parts": jpeg_segment(0xE2, b"ICC_PROFILE\x00\x07\x09"),
        "pictures that are not there": jpeg_segment(
            0xE2,
            b"MPF\x00" + tiff([(0xB000, 7, 4, 0x30303130), (0xB001, 4, 1, 99), (0xB002, 7, 9, 8)]),
        ),
        "a short photoshop block": jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\x00\x00\xff"),
        "an empty photoshop block": jpeg_segment(
            0xED, b"Photoshop 3.0\x008BIM\x03\xed\x00\x00\x00\x00\x00\x00"
        ),
        "a photoshop block cut off": jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
        "a short adobe block": jpeg_segment(0xEE, b"Adobe"),
        "a short jfif block": jpeg_segment(0xE0, b"JFIF"),
        "orientation in xmp": jpeg_segment(
            0xE1, b'http://ns.adobe.com/xap/1.0/\x00<x tiff:Orientation="6"/>'
        ),
    }.items():
        yield Odd(f"jpeg with {name}", jpeg_with(segment), (200, 422))
    for marker in (0xC1, 0xC3, 0xC5, 0xC9, 0xCB, 0xCF):
        at = good.index(b"\xff\xc0")
        data = good[: at + 1] + bytes((marker,)) + good[at + 2 :]
        yield Odd(f"jpeg of kind {marker:x}", data, (200, 422))
    at = good.index(b"\xff\xc0")
    for value in (0, 1, 2, 4, 5, 255):
        data = good[: at + 9] + bytes((value,)) + good[at + 10 :]
        yield Odd(f"jpeg of {value} layers", data, (200, 422))


def _odd_tiffs() -> Iterator[Odd]:
    page = tiff_page(8, 8, at=200)
    pixels = b"\x80" * 300
    yield Odd("tiff that loops", tiff(page, following=8, tail=pixels), (200,))
    yield Odd("tiff whose next page is outside", tiff(page, following=1 << 31, tail=pixels), (200,))
    yield Odd("tiff without entries", tiff([]), (422,))
    yield Odd("tiff of no size", tiff(tiff_page(0, 0)), (422,))
    yield Odd("tiff without pixels", tiff(page), (422,))
    for name, extra in {
        "exif that loops": (0x8769, 4, 1, 8),
        "tags that repeat": (700, 1, 100_000, 8),
        "a size in words": (256, 2, 4, 0x00383838),
        "two sizes": (256, 3, 2, 0x00080008),
        "samples by the million": (277, 4, 1, 1 << 30),
        "extra samples": (338, 3, 2, 0x00020002),
        "an unknown compression": (259, 3, 1, 9999),
        "planes": (284, 3, 1, 2),
        "huge tiles": (322, 4, 1, 1 << 31),
        "huge rows": (278, 4, 1, (1 << 32) - 1),
        "no rows": (278, 4, 1, 0),
        "lab": (262, 3, 1, 8),
        "a palette that is missing": (262, 3, 1, 3),
        "64 bits": (258, 3, 1, 64),
        "no bits": (258, 3, 1, 0),
        "floats": (339, 3, 1, 3),
        "an orientation of 99": (274, 3, 1, 99),
    }.items():
        entries = sorted({entry[0]: entry for entry in (*page, extra)}.values())
        yield Odd(f"tiff with {name}", tiff(entries, tail=pixels), (200, 413, 422))
    for compression in (2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 50000, 50001):
        entries = [(t, d, c, compression if t == 259 else v) for t, d, c, v in page]
        yield Odd(f"tiff as {compression}", tiff(entries, tail=pixels), (200, 422))
    tiles: list[Entry] = [
        *page[:5],
        (322, 4, 1, 16),
        (323, 4, 1, 16),
        (324, 4, 1, 8),
        (325, 4, 1, 9),
    ]
    for width in (0, 1, 16, 1 << 16, (1 << 32) - 1):
        entries = [(t, d, c, width if t == 322 else v) for t, d, c, v in tiles]
        yield Odd(f"tiff of tiles {width} wide", tiff(entries, tail=pixels), (200, 413, 422))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700], tags.tagtype[700] = b'<x tiff:Orientation="6"/>', 1
    data = saved(Image.new("RGB", (8, 6)), "TIFF", tiffinfo=tags)
    yield Odd("tiff with orientation in xmp", data, (200,))


def _odd_webps(good: bytes) -> Iterator[Odd]:
    for size in (0, 1, 7, len(good) * 2, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
        data = good[:4] + struct.pack("<I", size) + good[8:]
        yield Odd(f"webp that claims {size} bytes", data, (200, 422))
        data = good[:16] + struct.pack("<I", size) + good[20:]
        yield Odd(f"webp whose first chunk claims {size}", data, (200, 413, 422))
    header = webp_header(16, 16, flags=2)
    pixel = webp_chunk(b"VP8L", b"\x2f\x00\x00\x00\x00\x88\x88\x08")
    frame = webp_chunk(b"ANMF", b"\x00" * 16 + pixel)
    anim = webp_chunk(b"ANIM", b"\x00" * 6)
    for name, chunks in {
        "no frames": (header, anim),
        "a frame and no animation": (header, frame),
        "a frame in a frame": (header, anim, webp_chunk(b"ANMF", b"\x00" * 16 + frame)),
        "an empty frame": (header, anim, webp_chunk(b"ANMF", b"")),
        "a frame outside": (header, anim, webp_chunk(b"ANMF", b"\xff" * 6 + b"\x00" * 10 + pixel)),
        "two headers": (header, header, pixel),
        "exif of junk": (webp_header(1, 1, flags=8), pixel, webp_chunk(b"EXIF", b"\xff" * 99)),
        "a profile of junk": (webp_header(1, 1, flags=32), webp_chunk(b"ICCP", b"x" * 99), pixel),
        "unknown chunks": (webp_header(1, 1), webp_chunk(b"junk", b"x") * 1000, pixel),
    }.items():
        yield Odd(f"webp with {name}", webp(*chunks), (200, 422))
