from itertools import pairwise

import pytest
import torch

from training.data.errors import DataError
from training.data.order import Order, evenly
from training.recipe import Part


def _batches(**changes: object) -> list[list[int]]:
    arguments: dict[str, object] = {"length": 26, "batch": 6, "seed": 1, "epoch": 0, **changes}
    return list(Order(**arguments))  # type: ignore[arg-type]


def test_an_epoch_has_everything_once_but_an_unfull_batch() -> None:
    batches = _batches()
    assert [len(batch) for batch in batches] == [6, 6, 6, 6]
    seen = [index for batch in batches for index in batch]
    assert len(set(seen)) == 24
    assert set(seen) <= set(range(26))
    assert seen != sorted(seen)


@pytest.mark.parametrize("world", [2, 3, 6])
def test_whole_batches_are_the_same_for_any_number_of_processes(world: int) -> None:
    parts = [_batches(part=Part(rank, world)) for rank in range(world)]
    for whole, *shares in zip(_batches(), *parts, strict=True):
        assert {len(share) for share in shares} == {6 // world}
        assert sorted(whole) == sorted(index for share in shares for index in share)


def test_batches_can_be_left_out_at_the_start() -> None:
    assert _batches(first=3) == _batches()[3:]
    assert _batches(first=4) == []
    assert len(Order(26, 6, seed=1, epoch=0, first=3)) == 1
    assert len(Order(26, 6, seed=1, epoch=0, first=9)) == 0


def test_seeds_and_epochs_differ_and_repeat() -> None:
    orders = [str(_batches(seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert orders == [str(_batches(seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)]


def test_a_batch_is_no_larger_than_there_are_items() -> None:
    assert sorted(_batches(length=4)[0]) == [0, 1, 2, 3]


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(DataError, match="a batch of 6 pictures cannot be shared by 4 processes"):
        _batches(part=Part(0, 4))


@pytest.mark.parametrize(("length", "batch"), [(0, 6), (26, 0)])
def test_no_batches(length: int, batch: int) -> None:
    with pytest.raises(DataError, match="no batches"):
        _batches(length=length, batch=batch)


WEIGHTS = torch.tensor([0.0, 1.0, 3.0] * 200, dtype=torch.float64)


def test_weights_say_how_often_an_item_comes() -> None:
    drawn = [index for batch in _batches(length=600, weights=WEIGHTS) for index in batch]
    assert len(drawn) == 600
    assert len(set(drawn)) < 400  # some come several times
    never, seldom, often = (sum(index % 3 == kind for index in drawn) for kind in range(3))
    assert never == 0
    assert 2 < often / seldom < 4


def test_weighted_epochs_differ_and_repeat_and_resume() -> None:
    def drawn(**changes: object) -> list[list[int]]:
        return _batches(length=600, weights=WEIGHTS, **changes)

    assert drawn() == drawn()
    assert len({str(drawn(seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert drawn(first=97) == drawn()[97:]
    assert drawn() != _batches(length=600)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_weighted_batches(world: int) -> None:
    chosen = {"length": 600, "weights": WEIGHTS}
    parts = [_batches(part=Part(rank, world), **chosen) for rank in range(world)]
    for whole, *shares in zip(_batches(**chosen), *parts, strict=True):
        assert {len(share) for share in shares} == {6 // world}
        assert whole == [index for drawn in zip(*shares, strict=True) for index in drawn]


@pytest.mark.parametrize("count", [1, 2, 7, 16, 25])
@pytest.mark.parametrize("length", [25, 26, 49, 233])
def test_indices_are_spread_evenly_to_the_end(length: int, count: int) -> None:
    chosen = evenly(length, count)
    assert len(chosen) == count
    steps = {after - before for before, after in pairwise([*chosen, length])}
    assert max(steps) - min(steps) <= 1


def test_no_more_indices_than_there_are() -> None:
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(0, 5) == []
