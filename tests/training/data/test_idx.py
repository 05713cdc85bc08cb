import gzip
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.errors import DataError
from training.data.idx import read_idx

WriteIdx = Callable[[NDArray[np.uint8]], bytes]
VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_is_read_compressed_or_not(
    write_idx: WriteIdx, compress: Callable[[bytes], bytes]
) -> None:
    found = read_idx(compress(write_idx(VALUES)), "images", axes=3)
    assert found.dtype == np.uint8
    assert np.array_equal(found, VALUES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "images begins with nothing, not 00000803"),
        (b"\x00\x00\x0d\x03", "images begins with 00000d03, not 00000803"),
        (b"\x00\x00\x08\x03\x00\x00", "images ends within its header"),
        (b"\x1f\x8b\x08\x00", "images is damaged or incomplete"),
    ],
)
def test_what_is_no_such_file_is_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_idx(content, "images", axes=3)


def test_labels_are_not_pictures(write_idx: WriteIdx) -> None:
    with pytest.raises(DataError, match="not 00000801: it is not an IDX file of bytes with 1 axes"):
        read_idx(write_idx(VALUES), "labels", axes=1)


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content + b"x"])
def test_a_file_must_have_the_length_it_announces(
    write_idx: WriteIdx, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(DataError, match=r"images announces 2 x 3 x 4 bytes and holds 2[35]"):
        read_idx(damage(write_idx(VALUES)), "images", axes=3)


def test_a_cut_compressed_file_is_refused(write_idx: WriteIdx) -> None:
    with pytest.raises(DataError, match="images is damaged or incomplete"):
        read_idx(gzip.compress(write_idx(VALUES))[:-9], "images", axes=3)
