"""COCO's run-length encoding of a mask, as pycocotools reads it.

The format is that of the COCO API (T.-Y. Lin and P. Dollar, ``common/maskApi.c``,
https://github.com/cocodataset/cocoapi): the lengths of runs down the columns, outside and inside in
turn and outside first, each but the first three less the length two before, as a string.
"""

import numpy as np
from numpy.typing import NDArray

from service.runs import Runs

# Bits of a number that a character carries; in the highest of them lies its sign.
_BITS = 5
_SIGN, _MORE, _FIRST = 1 << (_BITS - 1), 1 << _BITS, ord("0")


def run_lengths(runs: Runs) -> NDArray[np.int64]:
    """Lengths ``int64[L]`` of what is outside and inside in turn; the first may be 0.

    Args:
        runs: of the class, at least one.
    """
    starts = runs.columns.astype(np.int64) * runs.height + runs.tops
    ends = runs.columns.astype(np.int64) * runs.height + runs.bottoms
    parted = starts[1:] != ends[:-1]  # else a run goes on at the top of the next column
    edges = np.stack([starts[np.append(True, parted)], ends[np.append(parted, True)]], 1)
    total = runs.height * runs.width
    lengths = np.diff(edges.ravel(), prepend=0, append=total)
    return lengths if lengths[-1] else lengths[:-1]


def compressed(lengths: NDArray[np.int64]) -> str:
    """The string of ``rleToString``: ASCII from ``0`` to ``o``.

    A number is written in groups of five bits, the lowest first, until those left are all like
    the sign.
    """
    numbers = lengths.copy()
    numbers[3:] -= lengths[1:-2]
    characters: list[NDArray[np.uint8]] = []
    written: list[NDArray[np.bool_]] = []
    going_on = np.ones(len(numbers), np.bool_)
    while going_on.any():
        group = numbers & (_MORE - 1)
        numbers >>= _BITS
        written.append(going_on)
        going_on = going_on & (numbers != np.where(group & _SIGN, -1, 0))
        characters.append((group + np.where(going_on, _MORE, 0) + _FIRST).astype(np.uint8))
    return np.stack(characters, 1)[np.stack(written, 1)].tobytes().decode("ascii")
