"""A detector's outputs: how far two of them stand apart."""

import numpy as np
import pytest
from fabricate import SLOTS, Found, outputs

from service.detections import SCORE_THRESHOLD, deviation, read
from service.errors import InferenceError
from service.tasks import detect

A, B, C = ([10.0, 10.0, 60.0, 60.0], [200.0, 10.0, 260.0, 90.0], [12.0, 10.0, 62.0, 60.0])


@pytest.mark.parametrize(
    ("actual", "expected", "apart"),
    [
        ([], [], 0.0),
        ([(A, 0.9, 0), (B, 0.8, 1)], [(A, 0.9, 0), (B, 0.8, 1)], 0.0),
        # Nearly equal scores trade places.
        ([(B, 0.8001, 0), (A, 0.8, 0)], [(A, 0.8001, 0), (B, 0.8, 0)], 0.0001),
        ([(A, 0.9, 0)], [(A, 0.87, 0)], 0.03),
        ([([10, 10, 60, 60.5], 0.9, 0)], [(A, 0.9, 0)], 0.001),
        ([([10, 10, 60, 60.5], 0.9, 0)], [(A, 0.87, 0)], 0.03),
        # Without a partner.
        ([(A, 0.9, 0)], [], 0.85),
        ([], [(A, 0.9, 0)], 0.85),
        ([(A, 0.9, 0), (B, 0.06, 0)], [(A, 0.9, 0)], 0.01),
        ([(A, 0.9, 0)], [(A, 0.9, 0), (B, 0.06, 0)], 0.01),
        ([(A, 0.9, 0)], [(A, 0.9, 1)], 0.85),
        ([(A, 0.9, 0)], [(B, 0.9, 0)], 0.85),
        ([(A, 0.9, 0), (A, 0.9, 0)], [(A, 0.9, 0)], 0.85),
        # Of two that overlap it, the nearer is the partner.
        ([(C, 0.9, 0), (A, 0.8, 0)], [(A, 0.8, 0), (C, 0.9, 0)], 0.0),
        # Far apart and hardly sure: each may as well have missed its threshold.
        ([([10, 10, 20, 60], 0.06, 0)], [(A, 0.07, 0)], 0.02),
        ([([200, 0, 700, 500], 0.06, 0)], [([0, 0, 500, 500], 0.06, 0)], 0.01),
        # Hardly sure, but of one object: half its place is shared.
        ([([90, 0, 590, 500], 0.06, 0)], [([0, 0, 500, 500], 0.06, 0)], 0.18),
        ([([0, 0, 300, 150], 0.06, 0)], [([0, 0, 300, 300], 0.07, 0)], 0.3),
        # Where all slots are taken, what is missing may be just below the last.
        ([([0, 100 * i, 50, 100 * i + 50], 0.5, 0) for i in range(SLOTS)],
         [([0, 100 * i, 50, 100 * i + 50], 0.5, 0) for i in range(SLOTS - 1)] + [(B, 0.51, 0)],
         0.01),
    ],
)  # fmt: skip
def test_detectors_deviate_by_their_matched_detections(
    actual: list[Found], expected: list[Found], apart: float
) -> None:
    seen, wanted = outputs(*actual), outputs(*expected)
    assert deviation(seen, wanted) == pytest.approx(apart, abs=1e-6)
    assert deviation(wanted, seen) == pytest.approx(apart, abs=1e-6)
    assert deviation(seen, seen) == 0


def test_the_order_of_slots_means_nothing() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 300, (SLOTS, 2))
    found = [
        ([*corner, *(corner + random.uniform(20, 80, 2))], float(random.uniform(0.1, 1)), i % 2)
        for i, corner in enumerate(low)
    ]
    for _ in range(10):
        mixed = [found[i] for i in random.permutation(SLOTS)]
        assert deviation(outputs(*mixed), outputs(*found)) == 0


def test_what_is_not_finite_or_of_another_kind_is_infinitely_far() -> None:
    good = outputs((A, 0.9, 0))
    for change in (
        {"scores": np.full(SLOTS, np.nan, np.float32)},
        {"boxes": np.full((SLOTS, 4), np.nan, np.float32)},
        {"count": np.int32(99)},
        {"scores": np.full(SLOTS, 1.5, np.float32)},
        {"scores": np.full(SLOTS, -0.5, np.float32)},
        {"labels": np.full(SLOTS, -1, np.int32)},
        {name: value[:-1] for name, value in good.items() if name != "count"},
    ):
        assert deviation(good | change, good) == float("inf")
        assert deviation(good, good | change) == float("inf")


def test_a_score_that_rounding_took_above_one_is_one() -> None:
    given = outputs((A, 1, 0))
    for above, score in {0.0: 1.0, 2**-11: 1.0, 2**-20: 1.0, -0.25: 0.75}.items():
        scores = given["scores"] + np.float32(above)
        assert read(given | {"scores": scores}).scores.tolist() == [score]
    for outside in (1.002, -1e-6):
        scores = np.full(SLOTS, outside, np.float32)
        with pytest.raises(InferenceError, match="score outside 0 to 1"):
            read(given | {"scores": scores})


def test_slots_past_the_count_do_not_deviate() -> None:
    good = outputs((A, 0.9, 0))
    other = {name: np.array(value) for name, value in good.items()}
    other["scores"][3] = SCORE_THRESHOLD / 2
    assert deviation(other, good) == 0


def test_the_task_compares_so() -> None:
    seen, wanted = outputs((A, 0.9, 0), (B, 0.8, 1)), outputs((B, 0.85, 1), (A, 0.9, 0))
    assert detect.deviation(seen, wanted) == deviation(seen, wanted) == pytest.approx(0.05)
