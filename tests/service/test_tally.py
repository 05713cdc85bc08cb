"""What a model has done, counted."""

import threading

import pytest

from service.batching import Answer
from service.tally import Tally
from service.task import Timing


def test_items_and_runs_are_counted_with_their_times() -> None:
    tally = Tally()
    tally.run([Answer({}, 0.5, 0.25, 2), Answer({}, 0.25, 0.25, 2)])
    tally.run([Answer({}, 0.0, 0.125, 1)])
    tally.answer(Timing(decode=1000, queue=500, run=250, total=2000))
    tally.answer(Timing(decode=0, queue=250, run=250, total=1000))
    tally.failure(4)
    counts = tally.read()
    assert {size: (spent.count, spent.seconds) for size, spent in counts.runs.items()} == {
        2: (1, 0.25),
        1: (1, 0.125),
    }
    assert (counts.answered.count, counts.answered.seconds) == (2, 3)
    assert (counts.decoded.seconds, counts.queued.seconds, counts.ran.seconds) == (1, 0.75, 0.5)
    assert (counts.failed.count, counts.failed.seconds) == (1, 4)
    assert counts.last_s > 0


def test_what_was_read_does_not_change() -> None:
    tally = Tally()
    before = tally.read()
    tally.run([Answer({}, 0, 1, 1)])
    tally.failure(1)
    assert not before.runs
    assert before.failed.count == 0
    assert before.last_s == 0


def test_no_count_is_lost_between_threads() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(500):
            tally.failure(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.read().failed.count == 4000
    assert tally.read().failed.seconds == pytest.approx(4000)
