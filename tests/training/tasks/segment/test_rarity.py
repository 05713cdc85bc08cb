"""Weights of rare classes and of the pictures that show them, against hand computations."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.tasks.segment.rarity import class_weights, picture_weights

PIXELS: NDArray[np.int64] = np.array([[60, 40, 0], [80, 0, 20]])
#: 140 of 200 pixels, 40 of the 100 of the first picture, 20 of the 100 of the second; the median
#: frequency is 0.4.
FREQUENCIES = np.array([0.7, 0.4, 0.2])


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_pixel_counts_by_the_frequency_of_its_class(power: float) -> None:
    weights = class_weights(PIXELS, power)
    balanced = (0.4 / FREQUENCIES) ** power
    mean = (140 * balanced[0] + 40 * balanced[1] + 20 * balanced[2]) / 200
    assert weights == pytest.approx(balanced / mean)
    assert (weights * PIXELS.sum(0)).sum() / PIXELS.sum() == pytest.approx(1)


def test_full_power_by_hand() -> None:
    assert class_weights(PIXELS, 1).tolist() == pytest.approx([5 / 7, 1.25, 2.5])


def test_no_power_makes_all_pixels_alike() -> None:
    assert class_weights(PIXELS, 0).tolist() == [1, 1, 1]


def test_a_class_that_is_never_shown_changes_nothing() -> None:
    without = np.insert(PIXELS, 1, 0, axis=1)
    found = class_weights(without, 1)
    assert found[1] == 1
    assert np.delete(found, 1) == pytest.approx(class_weights(PIXELS, 1))
    assert class_weights(np.zeros_like(PIXELS), 1).tolist() == [1, 1, 1]


#: Background in all four; the first class in three, the second in one.
SHOWN: NDArray[np.int64] = np.array([[9, 1, 0], [9, 1, 0], [9, 2, 3], [9, 0, 0]])


@pytest.mark.parametrize(
    ("power", "background", "expected"),
    [
        (1.0, 0, [1, 1, 3, 1]),
        (0.5, 0, [1, 1, 3**0.5, 1]),
        (0.0, 0, [1, 1, 1, 1]),
        (1.0, None, [4 / 3, 4 / 3, 4, 1]),
    ],
)
def test_a_picture_is_as_likely_as_its_rarest_class_is_rare(
    power: float, background: int | None, expected: list[float]
) -> None:
    assert picture_weights(SHOWN, power, background).tolist() == pytest.approx(expected)


def test_full_power_draws_every_class_as_often_where_pictures_show_one() -> None:
    one_each = np.repeat(np.eye(3, dtype=np.int64) * 50, (1, 4, 7), axis=0)
    weights = picture_weights(one_each, 1, None)
    of_class = [weights[one_each[:, number] > 0].sum() for number in range(3)]
    assert of_class == pytest.approx([7, 7, 7])


def test_pictures_that_show_nothing_may_be_drawn() -> None:
    assert picture_weights(np.zeros((2, 3), np.int64), 1, 0).tolist() == [1, 1]
