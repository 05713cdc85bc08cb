import pickle

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from training.data.errors import DataError
from training.data.labelled import Labelled, split, whole_batch


class Counted:
    """Pictures read on demand: every pixel is the picture's position."""

    shape = (9, 2, 2, 1)

    def __getitem__(self, positions: Tensor) -> Tensor:
        return positions.to(torch.uint8)[:, None, None, None].expand(-1, 2, 2, 1)


def labelled(targets: list[int], names: str = "abc") -> Labelled:
    numbers = torch.arange(len(targets), dtype=torch.uint8)
    return Labelled(
        numbers[:, None, None, None].expand(-1, 2, 2, 1), torch.tensor(targets), tuple(names)
    )


def numbers(pictures: Tensor) -> list[int]:
    return pictures[:, 0, 0, 0].tolist()


def test_a_batch_comes_in_the_order_asked_for() -> None:
    pictures, targets = labelled([0, 1, 2, 0]).__getitems__([3, 0, 2])
    assert pictures.dtype == torch.uint8
    assert pictures.shape == (3, 2, 2, 1)
    assert numbers(pictures) == [3, 0, 2]
    assert targets.tolist() == [0, 0, 2]


@pytest.mark.parametrize("index", [2, -2])
def test_one_picture_may_be_asked_for_from_either_end(index: int) -> None:
    picture, target = labelled([0, 1, 2, 0])[index]
    assert picture.shape == (2, 2, 1)
    assert (int(picture[0, 0, 0]), int(target)) == (2, 2)


@pytest.mark.parametrize("index", [4, -5])
def test_a_picture_past_the_end_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=f"no picture {index} among 4"):
        labelled([0, 1, 2, 0])[index]


def test_a_part_of_a_part_shows_the_same_pictures() -> None:
    part = labelled([0, 1, 2, 0, 1]).subset([4, 2, 0]).subset([2, 0])
    assert numbers(part.images) == [0, 4]
    assert part.targets.tolist() == [0, 1]
    assert numbers(part.__getitems__([1])[0]) == [4]


def test_pictures_read_on_demand_are_used_like_those_in_memory() -> None:
    lazy = Labelled(Counted(), torch.tensor([0, 1]), "ab", torch.tensor([7, 3]))
    assert lazy.shape == (2, 2, 1)
    assert not lazy.is_in_memory
    assert numbers(lazy.images) == [7, 3]
    assert numbers(lazy.subset([1]).images) == [3]


def test_classes_without_pictures_are_counted_too() -> None:
    assert labelled([1, 1, 0]).counts.tolist() == [1, 2, 0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_gets_whole_batches(workers: int) -> None:
    loader = DataLoader(
        labelled([0, 1, 2, 0, 1]), batch_size=2, num_workers=workers, collate_fn=whole_batch
    )
    batches = [(numbers(pictures), targets.tolist()) for pictures, targets in loader]
    assert batches == [([0, 1], [0, 1]), ([2, 3], [2, 0]), ([4], [1])]


def test_a_set_survives_the_way_to_a_worker() -> None:
    copy = pickle.loads(pickle.dumps(labelled([0, 1, 2]).subset([2, 1])))
    assert numbers(copy.images) == [2, 1]
    assert copy.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("pictures", "targets", "classes", "reason"),
    [
        (torch.zeros(2, 4, 4, 2, dtype=torch.uint8), [0, 1], "ab", r"\[2, 4, 4, 2\], not"),
        (torch.zeros(2, 4, 4, 3), [0, 1], "ab", "float32, not uint8"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), [0.0, 1.0], "ab", "not int64"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), [0], "ab", "2 pictures but 1 targets"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), [0, 2], "ab", "from 0 to 2; there are 2"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), [-1, 0], "ab", "from -1 to 0; there are 2"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), [0, 1], "aa", "named twice"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    pictures: Tensor, targets: list[float], classes: str, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        Labelled(pictures, torch.tensor(targets), tuple(classes))


def test_a_split_takes_the_same_fraction_of_every_class_and_loses_nothing() -> None:
    whole = labelled([0] * 100 + [1] * 20 + [2] * 40)
    rest, held_out = split(whole, 0.25, seed=1)
    assert rest.counts.tolist() == [75, 15, 30]
    assert held_out.counts.tolist() == [25, 5, 10]
    assert sorted(numbers(rest.images) + numbers(held_out.images)) == list(range(160))
    assert numbers(rest.images) == sorted(numbers(rest.images))


def test_a_split_is_chosen_by_its_seed() -> None:
    whole = labelled([0, 1] * 50)
    chosen = [numbers(split(whole, 0.2, seed)[1].images) for seed in (3, 3, 4)]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


@pytest.mark.parametrize(("fraction", "held"), [(0.01, [1, 1, 0]), (0.99, [1, 2, 0])])
def test_every_class_keeps_a_picture_on_each_side(fraction: float, held: list[int]) -> None:
    rest, held_out = split(labelled([0, 0, 1, 1, 1, 2]), fraction, seed=0)
    assert held_out.counts.tolist() == held
    assert rest.counts.tolist() == [2 - held[0], 3 - held[1], 1]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_a_fraction_must_leave_something_on_each_side(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        split(labelled([0, 0]), fraction, seed=0)
