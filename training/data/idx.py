"""The IDX format of MNIST: a magic number, the lengths of the axes, then the values.

The format is described at the foot of Yann LeCun's page, http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from training.data.errors import DataError

_UNSIGNED_BYTES = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(content: bytes, name: str, axes: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, compressed with gzip or not.

    Args:
        content: of the file.
        name: of the file, for messages.
        axes: how many it must have: 3 for pictures, 1 for labels.

    Returns:
        ``uint8``, with that many axes.

    Raises:
        DataError: it is not such a file, or has not the length it announces.
    """
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name} is damaged or incomplete ({error})") from error
    expected = bytes((0, 0, _UNSIGNED_BYTES, axes))
    if content[:4] != expected:
        raise DataError(
            f"{name} begins with {content[:4].hex() or 'nothing'}, not {expected.hex()}: it is "
            f"not an IDX file of bytes with {axes} axes"
        )
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{name} ends within its header")
    shape = struct.unpack(f">{axes}I", content[4:start])
    found = len(content) - start
    if found != math.prod(shape):
        raise DataError(
            f"{name} announces {' x '.join(map(str, shape))} bytes and holds {found}; get it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
