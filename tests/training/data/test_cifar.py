import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from training.data.cifar import read_batch, read_labels, read_strip
from training.data.errors import DataError

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
ROWS = PICTURES.transpose(0, 3, 1, 2).reshape(4, 3072)


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes alike as the strings of Python 2, as in the published files."""

    write: Callable[[bytes], object]
    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)

    dispatch[str] = dispatch[bytes] = save_string


def published(batch: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(batch)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("write", [published, pickle.dumps])
def test_a_batch_is_read_channels_last(write: Any) -> None:
    content = write({"data": ROWS, "labels": [3, 1, 9, 0], "batch_label": "one"})
    pictures, labels = read_batch(content, "data_batch_1")
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, PICTURES)
    assert labels.dtype == np.int64
    assert labels.tolist() == [3, 1, 9, 0]


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_pickle_that_could_run_code_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"data_batch_1 is no batch .*it asks for builtins\.print"):
        read_batch(pickle.dumps({"data": Hostile(), "labels": []}), "data_batch_1")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "batch",
    [
        {"data": ROWS[:3], "labels": [3, 1, 9, 0]},
        {"data": ROWS[:, :-1], "labels": [3, 1, 9, 0]},
        {"data": ROWS.astype(np.int64), "labels": [3, 1, 9, 0]},
        {"data": ROWS, "labels": [0.5, 1, 9, 0]},
        {"data": ROWS.tolist(), "labels": [3, 1, 9, 0]},
        {"data": ROWS[0], "labels": 3},
    ],
)
def test_rows_and_labels_must_belong_together(batch: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="data_batch_1 does not hold rows of 3072 bytes"):
        read_batch(pickle.dumps(batch), "data_batch_1")


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", pickle.dumps([1]), pickle.dumps({"data": 1})]
)
def test_what_is_no_batch_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(DataError, match="data_batch_1 is no batch"):
        read_batch(content, "data_batch_1")


def test_a_cut_batch_is_refused() -> None:
    with pytest.raises(DataError, match="data_batch_1 is no batch"):
        read_batch(published({"data": ROWS, "labels": [3, 1, 9, 0]})[:-50], "data_batch_1")


def test_a_strip_holds_a_picture_a_row() -> None:
    assert np.array_equal(read_strip(png(PICTURES.reshape(4, 1024, 3)), "a.png"), PICTURES)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (PICTURES.reshape(4, 1024, 3)[:, :-1], "a.png is a 1023x4 RGB picture"),
        (PICTURES.reshape(4, 1024, 3)[..., 0], "a.png is a 1024x4 L picture"),
    ],
)
def test_another_layout_is_refused(pixels: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_strip(png(pixels), "a.png")


def test_a_cut_strip_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.png is a damaged or incomplete PNG"):
        read_strip(png(PICTURES.reshape(4, 1024, 3))[:-500], "a.png")


def test_labels_are_a_list() -> None:
    assert read_labels(b"[6, 9, 9]", "labels.json").tolist() == [6, 9, 9]


@pytest.mark.parametrize("content", [b"", b"[1,", b'{"a": 1}', b"[1.5]", b"[true]"])
def test_other_labels_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"labels\.json is"):
        read_labels(content, "labels.json")
