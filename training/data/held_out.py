"""Which pictures are held out of a set, so that rare classes are on both sides."""

import numpy as np
from numpy.typing import NDArray

from training.data.errors import DataError


def hold_out(groups: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose the same fraction of every group by chance.

    A group of two pictures or more keeps at least one on each side; a group of one stays in the
    rest, unless all are of one. The same seed always chooses the same pictures.

    Args:
        groups: the number of each picture's group, ``int64[N]``.
        fraction: of the pictures to hold out, between 0 and 1.
        seed: of the choice.

    Returns:
        Which are held out, ``bool[N]``.

    Raises:
        DataError: the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the fraction to hold out must lie between 0 and 1, not {fraction}")
    random = np.random.default_rng(seed)
    is_held_out = np.zeros(len(groups), np.bool_)
    for group in np.unique(groups):
        members = random.permutation(np.flatnonzero(groups == group))
        count = len(members)
        held = max(1, min(count - 1, round(count * fraction))) if count > 1 else 0
        is_held_out[members[:held]] = True
    if len(groups) > 1 and not is_held_out.any():  # every group is of one
        is_held_out[random.integers(len(groups))] = True
    return is_held_out
