"""The files CIFAR-10 comes in: pickled batches, or strips of PNG with labels in JSON.

Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html describes the pickled batches.
"""

import io
import json
import pickle

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.errors import DataError

SIDE = 32
_ROW = 3 * SIDE * SIDE
# All that a pickled NumPy array asks for; anything else could run code. NumPy 2 moved one of them.
_ALLOWED = {
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}


class _ArraysOnly(pickle.Unpickler):
    """Reads lists, numbers, text and NumPy arrays, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(*_ALLOWED[module, name])


def read_batch(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read a batch of the Python version.

    Args:
        content: of the file.
        name: of the file, for messages.

    Returns:
        Pictures ``uint8[N, 32, 32, 3]`` and labels ``int64[N]``.

    Raises:
        DataError: it is damaged, or not such a batch.
    """
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
        rows, labels = batch["data"], np.asarray(batch["labels"])
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise DataError(f"{name} is no batch of CIFAR-10 ({error})") from error
    is_bytes = isinstance(rows, np.ndarray) and rows.dtype == np.uint8
    if not is_bytes or labels.dtype.kind != "i" or rows.shape != (labels.size, _ROW):
        raise DataError(f"{name} does not hold rows of {_ROW} bytes with a label each")
    return rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels.astype(np.int64).ravel()


def read_strip(content: bytes, name: str) -> NDArray[np.uint8]:
    """Read a PNG whose pixels are pictures one after the other, row by row.

    Returns:
        ``uint8[N, 32, 32, 3]``.

    Raises:
        DataError: it is damaged, or has another layout.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        raise DataError(f"{name} is a damaged or incomplete PNG ({error})") from error
    if image.mode != "RGB" or image.width * image.height % SIDE**2:
        raise DataError(
            f"{name} is a {image.width}x{image.height} {image.mode} picture, not a strip of "
            f"{SIDE}x{SIDE} RGB pictures"
        )
    return np.asarray(image).reshape(-1, SIDE, SIDE, 3)


def read_labels(content: bytes, name: str) -> NDArray[np.int64]:
    """Read a JSON list of labels, ``int64[N]``.

    Raises:
        DataError: it is not a list of whole numbers.
    """
    try:
        labels = json.loads(content)
    except ValueError as error:
        raise DataError(f"{name} is no JSON ({error})") from error
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(f"{name} is not a list of whole numbers")
    return np.asarray(labels, np.int64)
