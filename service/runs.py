"""A mask as runs down its columns: few numbers, whatever the size of the picture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Columns that are read at a time.
_BAND = 128


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The pixels of one class, from column to column and downwards.

    Attributes:
        height: of the mask, in pixels.
        width: of the mask, in pixels.
        columns: ``int32[R]``, the column of each run.
        tops: ``int32[R]``, its first row.
        bottoms: ``int32[R]``, the row after its last.
    """

    height: int
    width: int
    columns: NDArray[np.int32]
    tops: NDArray[np.int32]
    bottoms: NDArray[np.int32]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x_min, y_min, x_max and y_max around the pixels, the latter two exclusive."""
        right, bottom = self.columns.max() + 1, self.bottoms.max()
        return int(self.columns.min()), int(self.tops.min()), int(right), int(bottom)


def runs(mask: NDArray[np.uint8], classes: Iterable[int]) -> Mapping[int, Runs]:
    """The runs of the classes asked for.

    Args:
        mask: ``uint8[H,W]``.
        classes: values of the mask.
    """
    height, width = mask.shape
    wanted = np.zeros(256, np.bool_)
    wanted[list(classes)] = True
    values, columns, tops, bottoms = map(  # no name for the bands, which would hold them on
        np.concatenate,
        zip(
            *(_read(mask[:, left : left + _BAND], left, wanted) for left in range(0, width, _BAND)),
            strict=True,
        ),
    )
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(np.bincount(values, minlength=256))
    found = {}
    for value in np.flatnonzero(wanted).tolist():
        of_class = order[ends[value - 1] if value else 0 : ends[value]]
        found[value] = Runs(height, width, columns[of_class], tops[of_class], bottoms[of_class])
    return found


def _read(
    band: NDArray[np.uint8], left: int, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Values, columns, tops and bottoms of all runs of the values wanted, in a band of columns."""
    upended = np.ascontiguousarray(band.T)
    width, height = upended.shape
    begins = np.ones((width, height), np.bool_)
    np.not_equal(upended[:, 1:], upended[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], width * height)
    values = upended.ravel()[starts]
    keep = wanted[values]
    starts, ends, values = starts[keep], ends[keep], values[keep]
    columns, tops = np.divmod(starts, height)
    bottoms = ends - columns * height
    return (
        values,
        (columns + left).astype(np.int32),
        tops.astype(np.int32),
        bottoms.astype(np.int32),
    )
