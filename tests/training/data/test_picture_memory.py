import pytest
import torch
from torch import Tensor

from training.data.errors import DataError
from training.data.picture_memory import PictureMemory

SHAPES = [(2, 3), (4,), (1, 2, 3)]


def read(index: int) -> Tensor:
    if index == 1:
        raise DataError("b: is damaged")
    return torch.full(SHAPES[index], index + 7, dtype=torch.uint8)


def never(index: int) -> Tensor:
    raise AssertionError(f"{index} is read once only")


def test_all_are_kept_where_there_is_room() -> None:
    memory = PictureMemory(SHAPES, 16 / 2**20)
    assert memory.fill(read, never) == {1: "b: is damaged"}
    assert memory.holds_all
    assert memory.mib == 16 / 2**20
    assert [memory[index].tolist() for index in range(2)] == [[[7] * 3] * 2, [[[9] * 3] * 2]]
    with pytest.raises(IndexError):
        memory[2]


def test_none_is_kept_where_there_is_not() -> None:
    memory = PictureMemory(SHAPES, 15 / 2**20)
    assert not memory.holds_all
    assert memory.mib == 0
    assert memory.fill(never, read, threads=1) == {1: "b: is damaged"}


def test_there_may_be_no_pictures() -> None:
    memory = PictureMemory([], 100)
    assert not memory.holds_all
    assert memory.fill(never, never) == {}
