"""The bounded count of items in flight."""

import pytest

from service.admission import Admission
from service.errors import BusyError, TooLargeError


def test_items_are_counted_while_their_block_runs_however_it_ends() -> None:
    admission = Admission(4)
    with admission.admit(3):
        assert admission.count == 3
        with admission.admit():
            assert admission.count == 4
    assert admission.count == 0
    with pytest.raises(ZeroDivisionError), admission.admit(2):
        _ = 1 / 0
    assert admission.count == 0


def test_what_does_not_fit_is_busy_and_counts_nothing() -> None:
    admission = Admission(3)
    with admission.admit(2):
        admission.check()
        with pytest.raises(BusyError, match="2 items are in work"), admission.admit(2):
            pytest.fail("two were let in where one fits")
        assert admission.count == 2


def test_more_at_once_than_could_ever_fit_is_too_large_rather_than_busy() -> None:
    with pytest.raises(TooLargeError, match="4 images at once is more than the 3 that fit"):
        Admission(3).check(4)


def test_a_parent_counts_the_items_of_all_its_children() -> None:
    whole = Admission()
    first, second = Admission(1, parent=whole), Admission(5, parent=whole)
    with first.admit(), second.admit(4):
        assert whole.count == 5
        with pytest.raises(BusyError), first.admit():
            pytest.fail("let in past the capacity")
        assert whole.count == 5
    assert whole.count == 0


def test_without_a_capacity_everything_is_let_in() -> None:
    with (admission := Admission()).admit(10**6):
        admission.check(10**6)


def test_who_would_wait_too_long_is_told_at_once_but_not_who_waits_for_nobody() -> None:
    admission = Admission(100, patience_s=15.0, at_ease=2)
    with admission.admit(50):
        admission.check(50)  # nothing learnt yet
    for _ in range(200):
        admission.observe(4.0)
    with admission.admit(3):
        admission.check(10)
        with admission.admit(2), pytest.raises(BusyError, match=r"5 items .* about 20 s") as caught:
            admission.check()
        assert caught.value.retry_after_s == 5
    for _ in range(200):
        admission.observe(100.0)
    with admission.admit():
        admission.check()
        with admission.admit(), pytest.raises(BusyError) as caught:
            admission.check()
        assert caught.value.retry_after_s == 60


def test_retry_after_is_the_time_todays_items_take_in_whole_seconds_from_1_to_60() -> None:
    admission = Admission(100)
    assert admission.retry_after_s() == 1  # nothing learnt yet
    for _ in range(200):
        admission.observe(0.25)
    assert admission.seconds_per_item == pytest.approx(0.25, rel=1e-3)
    with admission.admit(10):
        assert admission.retry_after_s() == 3
        with pytest.raises(BusyError) as caught:
            admission.check(91)
    assert caught.value.headers == {"Retry-After": "3"}
    with admission.admit(2):
        assert admission.retry_after_s() == 1
    for _ in range(200):
        admission.observe(9.0)
    with admission.admit(100):
        assert admission.retry_after_s() == 60


def test_what_takes_turns_is_alone_in_the_service() -> None:
    service = Admission()
    model = Admission(capacity=3, parent=service)
    with model.admit(3, at_once=1):
        assert (model.count, service.count) == (3, 1)
        with pytest.raises(BusyError), model.admit():
            pass
    assert (model.count, service.count) == (0, 0)
    with pytest.raises(TooLargeError), model.admit(4, at_once=1):
        pass
