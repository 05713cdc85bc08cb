"""What several processes found, each in its share of the pictures, put together."""

from typing import TypeVar

import torch

from training.recipe import Part

T = TypeVar("T")


def of_all(mine: list[T], part: Part) -> list[T]:
    """What all processes found, in the order of the pictures; they call this together.

    Args:
        mine: what was found in this process's pictures: of every ``world`` one, from ``rank`` on.
        part: this process.
    """
    if part.world == 1:
        return mine
    parts: list[list[T]] = [[]] * part.world
    torch.distributed.all_gather_object(parts, mine)
    total = sum(map(len, parts))
    return [parts[index % part.world][index // part.world] for index in range(total)]
