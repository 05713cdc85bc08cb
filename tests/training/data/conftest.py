import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

WriteIdx = Callable[[NDArray[np.uint8]], bytes]
WritePicture = Callable[[str, tuple[int, int, int]], Path]


@pytest.fixture
def write_idx() -> WriteIdx:
    """Makes an IDX file's content of an array of bytes."""

    def write(values: NDArray[np.uint8]) -> bytes:
        header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
        return header + values.tobytes()

    return write


@pytest.fixture
def mnist_files(write_idx: WriteIdx) -> dict[str, bytes]:
    """MNIST in small: 20 and 10 pictures, the digits in turn, every pixel the picture's number."""
    files = {}
    for stem, count in (("train", 20), ("t10k", 10)):
        numbers = np.arange(count, dtype=np.uint8)
        pictures = np.broadcast_to(numbers[:, None, None], (count, 28, 28))
        files[f"{stem}-images-idx3-ubyte"] = write_idx(pictures)
        files[f"{stem}-labels-idx1-ubyte"] = write_idx(numbers % 10)
    return files


@pytest.fixture
def write_picture(tmp_path: Path) -> WritePicture:
    """Writes a 40x30 picture of one colour; the folders of its path are made."""

    def write(name: str, colour: tuple[int, int, int] = (200, 30, 30)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(path)
        return path

    return write
