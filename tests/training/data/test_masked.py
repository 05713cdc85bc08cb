import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.training.mask_sets import COLOURS, draw, write_mask, write_picture
from training.data.errors import DataError
from training.data.masked import (
    VOID,
    Coding,
    Masked,
    MaskedSet,
    by_stem,
    pair,
    present,
    read_mask,
    sound,
)

MASK = np.array([[0, 1, 2, 3], [2, 1, 0, 255]], np.uint8)
CLASSES = ("road", "car", "tree")


def masked(tmp_path: Path, image: Image.Image, coding: Coding | None = None) -> Masked:
    path = write_picture(tmp_path / "a.jpg", Image.new("RGB", image.size))
    image.save(tmp_path / "a.png")
    return Masked.of_files(path, tmp_path / "a.png", coding or Coding())


def wide(values: NDArray[np.int_]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


@pytest.mark.parametrize("palette", [(), COLOURS])
def test_values_are_positions_and_others_void(
    tmp_path: Path, palette: tuple[tuple[int, int, int], ...]
) -> None:
    path = write_picture(tmp_path / "a.jpg", Image.new("RGB", (4, 2)))
    item = Masked.of_files(path, write_mask(tmp_path / "a.png", MASK, palette))
    with Image.open(item.mask) as image:
        assert image.mode == ("P" if palette else "L")
    assert (item.width, item.height) == (4, 2)
    mask = read_mask(item, 3)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[0, 1, 2, VOID], [2, 1, 0, VOID]]


def test_values_that_stand_for_classes_may_be_others(tmp_path: Path) -> None:
    item = masked(tmp_path, Image.fromarray(MASK), Coding(values=(2, 0)))
    assert read_mask(item, 2).tolist() == [[1, VOID, 0, VOID], [0, VOID, 1, VOID]]


def test_255_is_void_even_where_it_would_be_a_class(tmp_path: Path) -> None:
    item = masked(tmp_path, Image.fromarray(MASK), Coding(values=(0, 255)))
    assert read_mask(item, 2)[1, 3] == VOID


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(np.array([[True, False]])), [[1, 0]]),
        (wide(np.array([[1, 257, 65535, 2]])), [[1, VOID, VOID, 2]]),
        (Image.merge("LA", [Image.new("L", (2, 1), 2), Image.new("L", (2, 1), 7)]), [[2, 2]]),
    ],
    ids=["one bit", "16 bits", "alpha"],
)
def test_other_kinds_of_values(tmp_path: Path, image: Image.Image, expected: list[int]) -> None:
    assert read_mask(masked(tmp_path, image), 3).tolist() == expected


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_of_few_bits_has_the_values_of_the_file(tmp_path: Path, depth: int) -> None:
    values = [0, 1] if depth == 1 else [0, 1, 2, 3]
    packed = int("".join(f"{value:0{depth}b}" for value in values).ljust(32, "0"), 2)
    row = b"\0" + packed.to_bytes(4)[: -(-len(values) * depth // 8)]
    header = struct.pack(">IIBBBBB", len(values), 1, depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    picture = write_picture(tmp_path / "a.jpg", Image.new("RGB", (len(values), 1)))
    assert read_mask(Masked.of_files(picture, path), 4).tolist() == [values]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_read_where_they_stand_for_classes(tmp_path: Path, mode: str) -> None:
    pixels = np.array([[COLOURS[1], COLOURS[0]], [COLOURS[2], (1, 0, 0)]], np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    item = masked(tmp_path, image, Coding(colours=COLOURS))
    assert read_mask(item, 3).tolist() == [[1, 0], [2, VOID]]
    item = masked(tmp_path, image, Coding(colours=COLOURS[1:]))
    assert read_mask(item, 2).tolist() == [[0, VOID], [1, VOID]]


def test_colours_that_stand_for_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: is a picture in colours; .* 'road #804080'"):
        masked(tmp_path, Image.new("RGB", (2, 2)))
    with pytest.raises(DataError, match="is a picture in colours"):
        masked(tmp_path, Image.new("I;16", (2, 2)).convert("RGB"), Coding(values=(0, 1)))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_mask_is_of_the_upright_picture(tmp_path: Path, orientation: int) -> None:
    picture, mask = draw(0)
    path = write_picture(tmp_path / "a.jpg", picture, orientation)
    upright = mask if orientation == 1 else np.rot90(mask, -1)
    item = Masked.of_files(path, write_mask(tmp_path / "a.png", upright))
    assert (item.width, item.height) == upright.shape[::-1]
    assert np.array_equal(read_mask(item, 3), upright)
    with pytest.raises(DataError, match=r"a\.png: is \d+x\d+, but the picture, upright, is"):
        Masked.of_files(path, write_mask(tmp_path / "a.png", np.rot90(upright)))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.jpg", Image.new("RGB", (64, 48)))
    with pytest.raises(DataError, match=r"b\.png: there is no such mask"):
        Masked.of_files(path, tmp_path / "b.png")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as a PNG"):
        Masked.of_files(path, path)
    noise = np.random.default_rng(0).integers(0, 3, (48, 64), dtype=np.uint8)
    item = Masked.of_files(path, write_mask(tmp_path / "a.png", noise))
    item.mask.write_bytes(item.mask.read_bytes()[:300])
    with pytest.raises(DataError, match=r"a\.png: the PNG file is damaged"):
        read_mask(item, 3)
    write_mask(item.mask, MASK)
    with pytest.raises(DataError, match=r"a\.png: is no longer 64x48"):
        read_mask(item, 3)


def test_pixels_of_each_class_are_counted(tmp_path: Path) -> None:
    items = []
    for name, mask in (("a", MASK), ("b", np.full((3, 5), 2, np.uint8))):
        picture = Image.new("RGB", mask.shape[::-1])
        path = write_picture(tmp_path / f"{name}.jpg", picture)
        items.append(Masked.of_files(path, write_mask(tmp_path / f"{name}.png", mask)))
    counts = present(MaskedSet(CLASSES, tuple(items)))
    assert counts.dtype == np.int64
    assert counts.tolist() == [[2, 2, 2], [0, 0, 15]]
    assert present(MaskedSet(CLASSES, ())).shape == (0, 3)


def test_masks_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    items = []
    for name in "abc":
        path = write_picture(tmp_path / f"{name}.jpg", Image.new("RGB", (4, 2)))
        items.append(Masked.of_files(path, write_mask(tmp_path / f"{name}.png", MASK)))
    whole = MaskedSet(CLASSES, tuple(items), ("x: damaged",))
    items[1].mask.unlink()
    kept, pixels = sound(whole)
    assert kept.items == (items[0], items[2])
    assert kept.faults == ("x: damaged", f"{items[1].mask}: there is no such mask")
    assert pixels.tolist() == [[2, 2, 2]] * 2
    with pytest.raises(DataError, match=r"b\.png: there is no such mask"):
        present(whole)


def test_pictures_and_masks_belong_together_by_name(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_picture(tmp_path / "one" / f"{name}.png", Image.new("RGB", (4, 2)))
    write_picture(tmp_path / "two" / "c.png", Image.new("RGB", (8, 4)))
    for name, mask in (("a", MASK), ("c", np.zeros((4, 8), np.uint8)), ("d", MASK)):
        write_mask(tmp_path / "masks" / f"{name}.png", mask)
    pictures = by_stem(reversed([*tmp_path.glob("one/*"), *tmp_path.glob("two/*")]))
    assert pictures["c"] == [tmp_path / "one" / "c.png", tmp_path / "two" / "c.png"]
    items, faults = pair("cabde", pictures, by_stem(tmp_path.glob("masks/*")))
    assert [item.path for item in items] == [tmp_path / "two" / "c.png", tmp_path / "one" / "a.png"]
    assert faults == (
        f"{tmp_path / 'one' / 'b.png'}: there is no mask for it",
        f"{tmp_path / 'masks' / 'd.png'}: there is no picture for it",
        "e: there is no picture for it",
    )
    with pytest.raises(DataError, match=r"no picture with a mask; the first of 2 faults: .*b\.png"):
        pair("be", pictures, {})
    with pytest.raises(DataError, match=r"no picture with a mask$"):
        pair((), pictures, {})


def test_subsets_keep_what_the_set_has() -> None:
    items = tuple(Masked(Path(f"{name}.jpg"), Path(f"{name}.png"), 4, 2) for name in "abc")
    whole = MaskedSet(CLASSES, items, ("x: damaged",), COLOURS, "road")
    assert len(whole) == 3
    some = whole.subset(np.array([2, 0]))
    assert [item.path.stem for item in some.items] == ["c", "a"]
    assert [item.path.stem for item in whole.without({"b", "z"}).items] == ["a", "c"]
    for part in (some, whole.without(())):
        assert (part.classes, part.faults, part.palette, part.background) == (
            CLASSES,
            ("x: damaged",),
            COLOURS,
            "road",
        )


def test_a_set_that_does_not_fit_itself_is_refused() -> None:
    with pytest.raises(DataError, match="named twice among a, b, a"):
        MaskedSet(("a", "b", "a"), ())
    with pytest.raises(DataError, match="256 classes; a mask has room for 255"):
        MaskedSet(tuple(str(number) for number in range(256)), ())
    with pytest.raises(DataError, match="2 classes have 3 colours"):
        MaskedSet(("a", "b"), (), palette=COLOURS)
    with pytest.raises(DataError, match="background 'c' is not among"):
        MaskedSet(("a", "b"), (), background="c")


def test_a_set_without_colours_has_vocs() -> None:
    assert MaskedSet(CLASSES, (), palette=COLOURS).colours == COLOURS
    vocs = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert MaskedSet(CLASSES, (), background="road").colours == vocs[:3]
    assert MaskedSet(CLASSES, ()).colours == vocs[1:]
