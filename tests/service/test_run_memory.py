"""Memory that runs share: how much each gets, and who goes first."""

import random
import threading
import time
from collections.abc import Callable

import pytest

from service.run_memory import RunMemory, mib

FAR = 60.0
"""Seconds no test takes."""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + FAR
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("held", "each", "most", "expected"),
    [(0, 30, 8, 3), (0, 30, 2, 2), (50, 30, 8, 1), (40, 60, 1, 1), (0, 100, 5, 1), (99, 1, 3, 1)],
)
def test_as_many_parts_are_taken_as_there_is_room_for(
    held: int, each: int, most: int, expected: int
) -> None:
    memory = RunMemory(100)
    if held:
        memory.take(held)
    assert memory.take(each, most) == expected
    assert memory.held == held + each * expected <= 100
    memory.give_back(each * expected)
    assert memory.held == held


def test_what_can_never_be_had_and_what_can_be_had_twice() -> None:
    memory = RunMemory(100)
    assert memory.is_enough(100)
    assert not memory.is_enough(101)
    assert memory.leaves_room(50)
    assert not memory.leaves_room(51)
    assert RunMemory().leaves_room(1 << 60)  # without a bound


def test_a_large_run_is_not_overtaken_by_small_ones() -> None:
    memory, order = RunMemory(100), list[str]()
    memory.take(40)

    def run(name: str, each: int) -> None:
        memory.take(each)
        order.append(name)
        memory.give_back(each)

    threads = []
    for number, (name, each) in enumerate([("large", 90), ("small", 10), ("other", 10)], 1):
        threads.append(threading.Thread(target=run, args=(name, each)))
        threads[-1].start()
        until(lambda number=number: memory.waiting == number)  # type: ignore[misc]
    assert not order  # though the small ones would find room
    memory.give_back(40)
    for thread in threads:
        thread.join(FAR)
    assert order[0] == "large"
    assert sorted(order) == ["large", "other", "small"]
    assert (memory.held, memory.waiting) == (0, 0)


def test_any_number_of_threads_all_get_their_part_and_never_more_than_there_is() -> None:
    memory, most_held = RunMemory(100), list[int]()

    def use(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(100):
            each = chance.randint(1, 100)
            count = memory.take(each, chance.randint(1, 4))
            most_held.append(memory.held)
            memory.give_back(each * count)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(FAR)
    assert len(most_held) == 800
    assert max(most_held) <= 100
    assert (memory.held, memory.waiting) == (0, 0)


def test_bytes_are_told_in_whole_mib() -> None:
    assert [mib(count) for count in (1, 1 << 20, (1 << 20) + 1)] == [1, 1, 2]
