"""What each of several workers gets."""

import pytest

from service.settings import Settings
from service.share import shares


def test_one_worker_has_it_all() -> None:
    settings = Settings()
    assert shares(settings) == [settings]


@pytest.mark.parametrize(
    ("cpus", "workers", "each"),
    [(8, 2, [4, 4]), (5, 2, [3, 2]), (7, 3, [3, 2, 2]), (2, 4, [1, 1, 1, 1])],
)
def test_cpus_are_dealt_out_and_nobody_gets_none(cpus: int, workers: int, each: list[int]) -> None:
    assert [share.cpus for share in shares(Settings(cpus=cpus, workers=workers))] == each


def test_bounds_of_the_service_are_divided_and_those_of_a_run_are_not() -> None:
    settings = Settings(
        workers=3, queue_size=64, max_connections=1000, max_bodies_mib=512, slots=2, max_batch=8
    )
    for share in shares(settings):
        assert (share.queue_size, share.max_connections, share.max_bodies_mib) == (22, 334, 171)
        assert share.cpu_arena_mib == 683
        assert (share.slots, share.max_batch) == (2, 8)
        assert share.timeout_s == settings.timeout_s


def test_the_largest_body_fits_every_worker() -> None:
    settings = Settings(workers=8, max_body_mib=100.5, max_bodies_mib=128)
    assert {share.max_bodies_mib for share in shares(settings)} == {101}
