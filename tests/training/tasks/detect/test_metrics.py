import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torchmetrics.detection import MeanAveragePrecision

from training.data.boxed import Boxed, BoxedSet
from training.tasks.detect.metrics import Detections, Evaluation, map50, measure

CLASSES = ("cat", "dog", "fish")


def _item(boxes: ArrayLike, labels: ArrayLike, ignored: ArrayLike | None = None) -> Boxed:
    return Boxed(
        path=Path("a.png"),
        width=200,
        height=200,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        ignored=np.array(np.zeros(np.shape(labels)) if ignored is None else ignored, np.bool_),
    )


def _found(boxes: ArrayLike, scores: ArrayLike, labels: ArrayLike) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int32),
    )


def _scenes(pictures: int, seed: int = 0) -> tuple[list[Detections], BoxedSet]:
    """Objects of the first two classes, some ignored, and detections near some of them."""
    random = np.random.default_rng(seed)
    predictions, items = [], []
    for _ in range(pictures):
        corners = random.uniform(0, 120, (4, 2))
        boxes = np.hstack([corners, corners + random.uniform(20, 60, (4, 2))])
        labels = random.integers(2, size=4)
        count = int(random.integers(5))
        ignored = random.random(4) < 0.2
        items.append(_item(boxes[:count], labels[:count], ignored[:count]))
        near = np.vstack([boxes, boxes + random.normal(0, 6, (4, 4)), boxes[:, [1, 0, 3, 2]]])
        scores = random.random(len(near))
        predictions.append(_found(near, scores, np.tile(labels, 3)))
    return predictions, BoxedSet(CLASSES, tuple(items))


def _torchmetrics(predictions: Sequence[Detections], truths: BoxedSet) -> dict[str, torch.Tensor]:
    metric = MeanAveragePrecision(
        backend="faster_coco_eval",
        class_metrics=True,
        rec_thresholds=np.linspace(0, 1, 101).tolist(),  # its own are rounded to 32 bits
    )
    metric.warn_on_many_detections = False
    metric.update(
        [
            {
                "boxes": torch.tensor(found.boxes),
                "scores": torch.tensor(found.scores),
                "labels": torch.tensor(found.labels, dtype=torch.int64),
            }
            for found in predictions
        ],
        [
            {
                "boxes": torch.tensor(item.boxes),
                "labels": torch.tensor(item.labels),
                "iscrowd": torch.tensor(item.ignored).long(),
            }
            for item in truths.items
        ],
    )
    figures: dict[str, torch.Tensor] = metric.compute()
    return figures


def test_figures_are_those_of_torchmetrics() -> None:
    predictions, truths = _scenes(30)
    quality = measure(predictions, truths, resamples=0)
    other = _torchmetrics(predictions, truths)
    assert 0.1 < quality.map < quality.map50 < 0.9
    assert quality.map == pytest.approx(float(other["map"]), abs=1e-6)
    assert quality.map50 == pytest.approx(float(other["map_50"]), abs=1e-6)
    assert quality.map75 == pytest.approx(float(other["map_75"]), abs=1e-6)
    assert quality.average_precision == pytest.approx(
        [*other["map_per_class"][:2].tolist(), math.nan], abs=1e-6, nan_ok=True
    )
    assert map50(predictions, truths) == quality.map50


def test_average_precision_by_hand() -> None:
    truths = BoxedSet(CLASSES, (_item([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 0]),))
    boxes = [[0, 0, 10, 10], [80, 80, 90, 90], [50, 50, 60, 60]]
    quality = measure([_found(boxes, [0.9, 0.8, 0.7], [0, 0, 0])], truths, resamples=0)
    # Right, wrong, right: precision 1 up to recall 0.5 (51 of 101 places), 2/3 beyond.
    assert quality.average_precision50[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert quality.map50 == pytest.approx(quality.map) == quality.average_precision50[0]
    assert quality.precisions[0, [0, 50, 51, 100]] == pytest.approx([1, 1, 2 / 3, 2 / 3])
    assert quality.recalls[[0, 50, 100]].tolist() == [0, 0.5, 1]
    assert quality.thresholds[0, [0, 50, 51, 100]] == pytest.approx([0.9, 0.9, 0.7, 0.7])
    assert (quality.pictures, quality.objects.tolist()) == (1, [2, 0, 0])


def test_a_class_without_objects_does_not_count() -> None:
    truths = BoxedSet(CLASSES, (_item([[0, 0, 10, 10]], [0]),))
    found = _found([[0, 0, 10, 10], [0, 0, 10, 10]], [0.9, 0.9], [0, 2])
    quality = measure([found], truths, resamples=5)
    assert quality.map50 == 1
    assert np.isnan(quality.average_precision50).tolist() == [False, True, True]
    assert quality.map_interval == quality.map50_interval == (1, 1)


def test_overlap_decides_at_which_threshold_a_detection_is_right() -> None:
    truths = BoxedSet(CLASSES, (_item([[0, 0, 100, 100]], [1]),))
    quality = measure([_found([[0, 0, 100, 77]], [0.9], [1])], truths, resamples=0)
    assert (quality.map50, quality.map75) == (1, 1)
    assert quality.map == pytest.approx(0.6)  # 0.5 to 0.75 of ten thresholds


def test_an_ignored_object_is_neither_hit_nor_miss() -> None:
    boxes = [[0, 0, 10, 10], [50, 50, 90, 90]]
    truths = BoxedSet(CLASSES, (_item(boxes, [0, 0], [False, True]),))
    missed = measure([_found(boxes[:1], [0.5], [0])], truths, resamples=0)
    within = [*boxes, [50, 50, 60, 60], [70, 70, 80, 80]]
    found = measure([_found(within, [0.5, 0.9, 0.9, 0.9], [0] * 4)], truths, resamples=0)
    assert missed.map50 == found.map50 == 1
    assert missed.objects.tolist() == [1, 0, 0]


def test_every_picture_drawn_once_gives_the_same() -> None:
    predictions, truths = _scenes(20)
    evaluation = Evaluation(predictions, truths)
    drawn = evaluation.drawn(np.random.default_rng(3).permutation(20))
    assert np.array_equal(drawn, evaluation.precision, equal_nan=True)
    quality = measure(predictions, truths, resamples=0)
    assert np.nanmean(drawn) == pytest.approx(quality.map, abs=1e-12)
    assert np.nanmean(drawn[0]) == pytest.approx(quality.map50, abs=1e-12)


def test_a_draw_is_the_evaluation_of_the_pictures_drawn() -> None:
    predictions, truths = _scenes(8)
    picks = np.array([5, 5, 5, 0, 2, 2, 7, 1])
    drawn = Evaluation(predictions, truths).drawn(picks)
    repeated = BoxedSet(CLASSES, tuple(truths.items[at] for at in picks))
    again = Evaluation([predictions[at] for at in picks], repeated)
    assert np.array_equal(drawn, again.precision, equal_nan=True)
    assert not np.array_equal(drawn, Evaluation(predictions, truths).precision, equal_nan=True)


def test_intervals_hold_the_figure_and_narrow_with_more_pictures() -> None:
    widths = []
    for pictures in (10, 160):
        quality = measure(*_scenes(pictures), resamples=100)
        for figure, (low, high) in (
            (quality.map, quality.map_interval),
            (quality.map50, quality.map50_interval),
        ):
            assert low < figure < high
        widths.append(np.subtract(*quality.map50_interval[::-1]))
    assert widths[1] < widths[0]


def test_intervals_repeat_with_their_seed() -> None:
    scenes = _scenes(10)
    first, same, other = (measure(*scenes, resamples=20, seed=seed) for seed in (1, 1, 2))
    assert first.map_interval == same.map_interval != other.map_interval


def test_nothing_found_is_zero_and_nothing_there_is_no_figure() -> None:
    nothing = _found([], [], [])
    there = BoxedSet(CLASSES, (_item([[0, 0, 10, 10]], [0]),))
    empty = BoxedSet(CLASSES, (_item([], []),))
    assert measure([nothing], there, resamples=3).map_interval == (0, 0)
    found = measure([_found([[0, 0, 9, 9]], [1], [0])], empty, resamples=3)
    assert np.isnan([found.map, found.map50, *found.map_interval, *found.map50_interval]).all()
    assert np.isnan(map50([nothing], empty))


def test_predictions_must_be_one_a_picture() -> None:
    predictions, truths = _scenes(3)
    with pytest.raises(ValueError, match="2 predictions for 3 pictures"):
        measure(predictions[:2], truths)
    with pytest.raises(ValueError, match="0 predictions for 0 pictures"):
        map50([], BoxedSet(CLASSES, ()))
