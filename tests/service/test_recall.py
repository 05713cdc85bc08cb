"""What is kept of runs, and what has to go for it."""

import threading

import numpy as np

from service.recall import Recall


def of(value: int, count: int = 10) -> dict[str, np.ndarray]:
    return {"code": np.full(count, value, np.float32)}


def known(recall: Recall, *keys: str) -> list[int | None]:
    found = map(recall.get, keys)
    return [None if each is None else int(each["code"][0]) for each in found]


def test_what_was_used_longest_ago_goes_first() -> None:
    recall = Recall(3 * 40)
    for key, value in zip("abc", (1, 2, 3), strict=True):
        recall.put(key, of(value))
    assert known(recall, "a") == [1]
    recall.put("d", of(4))
    assert known(recall, "a", "b", "c", "d") == [1, None, 3, 4]
    assert recall.held == 120


def test_a_key_that_comes_again_is_counted_once() -> None:
    recall = Recall(100)
    recall.put("a", of(1))
    recall.put("a", of(2, count=20))
    assert (known(recall, "a"), recall.held) == ([2], 80)


def test_what_has_no_room_at_all_is_not_kept() -> None:
    recall = Recall(39)
    recall.put("a", of(1))
    assert (known(recall, "a"), recall.held) == ([None], 0)


def test_a_batch_is_not_held_for_one_of_its_rows() -> None:
    recall, batch = Recall(1000), np.zeros((100, 10), np.float32)
    recall.put("a", {"code": batch[3, ...]})
    batch[3] = 7
    assert known(recall, "a") == [0]


def test_many_threads_lose_no_count() -> None:
    recall = Recall(50 * 40)

    def use(thread: int) -> None:
        for turn in range(400):
            recall.put((thread * turn) % 90, of(turn))
            recall.get(turn % 90)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recall.held == 40 * sum(recall.get(key) is not None for key in range(90)) == 50 * 40
