"""What is kept of runs, and what has to go for it."""

import hashlib
import threading
import tracemalloc

import numpy as np

from service.recall import Recall


def of(value: int, count: int = 10) -> dict[str, np.ndarray]:
    return {"code": np.full(count, value, np.float32)}


def size_of(value: dict[str, np.ndarray]) -> int:
    """What an entry counts as."""
    recall = Recall(1 << 20)
    recall.put("a", value)
    return recall.held


ONE = size_of(of(1))


def known(recall: Recall, *keys: str) -> list[int | None]:
    found = map(recall.get, keys)
    return [None if each is None else int(each["code"][0]) for each in found]


def test_what_was_used_longest_ago_goes_first() -> None:
    recall = Recall(3 * ONE)
    for key, value in zip("abc", (1, 2, 3), strict=True):
        recall.put(key, of(value))
    assert known(recall, "a") == [1]
    recall.put("d", of(4))
    assert known(recall, "a", "b", "c", "d") == [1, None, 3, 4]
    assert recall.held == 3 * ONE


def test_a_key_that_comes_again_is_counted_once() -> None:
    recall = Recall(2 * ONE)
    recall.put("a", of(1))
    recall.put("a", of(2, count=20))
    assert (known(recall, "a"), recall.held) == ([2], ONE + 40)


def test_what_has_no_room_at_all_is_not_kept() -> None:
    recall = Recall(ONE - 1)
    recall.put("a", of(1))
    assert (known(recall, "a"), recall.held) == ([None], 0)


def test_a_batch_is_not_held_for_one_of_its_rows() -> None:
    recall, batch = Recall(1 << 20), np.zeros((100, 10), np.float32)
    recall.put("a", {"code": batch[3, ...]})
    batch[3] = 7
    assert known(recall, "a") == [0]


def test_what_is_held_is_no_more_than_what_is_told() -> None:
    recall = Recall(1 << 20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20_000):  # more than there is room for, of the smallest codes
            key = ("a model's name"[: number % 14], hashlib.sha256(b"%d" % number).digest())
            recall.put(key, {"code": np.zeros(1, np.float32)})
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert recall.max_bytes - 2000 < recall.held <= recall.max_bytes
    assert 0.3 * recall.held < taken <= recall.held


def test_many_threads_lose_no_count() -> None:
    recall = Recall(50 * ONE)
    keys = [chr(ord("!") + number) for number in range(90)]

    def use(thread: int) -> None:
        for turn in range(400):
            recall.put(keys[(thread * turn) % 90], of(turn))
            recall.get(keys[turn % 90])

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recall.held == ONE * sum(recall.get(key) is not None for key in keys) == 50 * ONE
