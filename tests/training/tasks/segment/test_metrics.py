"""Figures of masks, against hand computations and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from torchmetrics.classification import MulticlassJaccardIndex

from training.data.masked import VOID
from training.tasks.segment.metrics import confusion, iou, measure

CLASSES = ("road", "car", "tree")


def _mask(values: ArrayLike) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


TRUTH = _mask([[0, 0, 0, 0], [1, 1, VOID, VOID]])
TOLD = _mask([[0, 0, 1, 0], [1, 0, 1, 2]])


def _pairs(pictures: int, seed: int = 0) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Truths with void pixels, and masks that are right in two pixels of three."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(pictures):
        truth = random.choice(_mask([0, 1, 2, VOID]), (9, 11), p=random.dirichlet([4, 2, 2, 1]))
        noise = random.integers(3, size=truth.shape, dtype=np.uint8)
        pairs.append(
            (truth, np.where((random.random(truth.shape) < 0.5) & (truth < 3), truth, noise))
        )
    return pairs


def _confusions(pictures: int, seed: int = 0) -> list[NDArray[np.int64]]:
    return [confusion(truth, told, 3) for truth, told in _pairs(pictures, seed)]


def test_figures_by_hand() -> None:
    found = confusion(TRUTH, TOLD, 3)
    assert found.dtype == np.int64
    assert found.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    quality = measure([found], CLASSES, resamples=0)
    assert quality.iou == pytest.approx([3 / 5, 1 / 3, math.nan], nan_ok=True)
    assert quality.miou == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert quality.pixel_accuracy == pytest.approx(4 / 6)
    assert quality.class_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert quality.pictures == 1
    assert all(map(math.isnan, quality.miou_interval))


def test_figures_are_those_of_torchmetrics() -> None:
    pairs = _pairs(7)
    quality = measure([confusion(*pair, 3) for pair in pairs], CLASSES, resamples=0)
    truth, told = (
        torch.from_numpy(np.stack(each).astype(np.int64)) for each in zip(*pairs, strict=True)
    )
    for average, ours in (("macro", quality.miou), ("none", quality.iou)):
        metric = MulticlassJaccardIndex(3, average=average, ignore_index=VOID)  # type: ignore[arg-type]
        assert np.allclose(metric(told, truth).numpy(), ours, atol=1e-6)
    known = (truth != VOID).numpy()
    assert quality.pixel_accuracy == pytest.approx((truth == told).numpy()[known].mean())
    assert 0.3 < quality.miou < quality.pixel_accuracy < 0.9


def test_void_pixels_count_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    other = TOLD.copy()
    other[TRUTH == VOID] = 0
    assert np.array_equal(confusion(TRUTH, other, 3), confusion(TRUTH, TOLD, 3))
    nothing = confusion(np.full_like(TRUTH, VOID), TOLD, 3)
    assert nothing.tolist() == np.zeros((3, 3)).tolist()
    some = confusion(TRUTH, TOLD, 3)
    with_void, without = (measure(each, CLASSES, resamples=0) for each in ([some, nothing], [some]))
    assert with_void.miou == without.miou
    assert with_void.pixel_accuracy == without.pixel_accuracy
    assert capfd.readouterr() == ("", "")


def test_all_pictures_share_one_matrix() -> None:
    each = [confusion(_mask([[0] * 9 + [1]]), _mask([[0] * 10]), 2), np.array([[0, 0], [0, 10]])]
    quality = measure(each, CLASSES[:2], resamples=0)
    assert quality.iou == pytest.approx([9 / 10, 10 / 11])
    assert quality.confusion.tolist() == [[9, 0], [1, 10]]


def test_a_class_that_is_told_but_not_there_counts() -> None:
    quality = measure([confusion(_mask([[0, 0]]), _mask([[0, 2]]), 3)], CLASSES, resamples=0)
    assert quality.iou == pytest.approx([1 / 2, math.nan, 0], nan_ok=True)
    assert quality.miou == pytest.approx(1 / 4)
    assert quality.class_accuracy == pytest.approx(1 / 2)


def test_iou_of_many_matrices_at_once() -> None:
    each = np.stack(_confusions(4))
    assert np.array_equal(iou(each), np.stack([iou(one) for one in each]))


def test_intervals_hold_the_figure_narrow_with_more_pictures_and_repeat() -> None:
    widths = []
    for pictures in (6, 100):
        quality = measure(_confusions(pictures), CLASSES, resamples=100)
        low, high = quality.miou_interval
        assert low < quality.miou < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    intervals = [
        measure(_confusions(6), CLASSES, resamples=20, seed=seed).miou_interval
        for seed in (1, 1, 2)
    ]
    assert intervals[0] == intervals[1] != intervals[2]


def test_nothing_to_measure_is_no_figure() -> None:
    quality = measure([np.zeros((3, 3), np.int64)] * 2, CLASSES, resamples=3)
    figures = [quality.miou, *quality.miou_interval, quality.pixel_accuracy, quality.class_accuracy]
    assert np.isnan([*figures, *quality.iou]).all()
    with pytest.raises(ValueError, match="no pictures to measure on"):
        measure([], CLASSES)
