"""Which pictures detectors are compared on."""

import numpy as np
import pytest
import torch

from service.boxes import iou
from service.detections import deviation, read
from service.session import Arrays
from tests.training.nets.detection.random_detectors import (
    LIGHT,
    batched,
    colourful,
    random_detector,
)
from training.nets.detection.batched import BatchedDetector
from training.parity import ParityError
from training.tasks.detect.predict import OUTPUTS
from training.tasks.detect.steady import golden, steady

SIDE = 96
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def module() -> BatchedDetector:
    return batched(random_detector(), LIGHT, SIDE, SIDE)


@pytest.fixture
def items() -> list[Arrays]:
    return [{"images": picture} for picture in colourful(5, SIDE, SIDE)[1:].numpy()]


def run(module: BatchedDetector, item: Arrays) -> Arrays:
    with torch.inference_mode():
        outputs = module(torch.from_numpy(item["images"])[None])
    return {name: out[0].numpy() for name, out in zip(OUTPUTS, outputs, strict=True)}


def overlap_that_decides(module: BatchedDetector, item: Arrays) -> float:
    """How much a box overlaps the one stronger box of its label that could suppress it."""
    found = read(run(module, item))
    overlaps = iou(found.boxes, found.boxes) * (found.labels[:, None] == found.labels)
    for weaker in range(1, len(found.scores)):
        strongest = float(overlaps[weaker, :weaker].max())
        if 0.1 < strongest < 0.6 and found.scores[weaker] > 0.1:
            return strongest
    raise AssertionError("no two boxes overlap; the test needs another picture")


def test_pictures_that_hang_on_a_digit_are_left_out(
    module: BatchedDetector, items: list[Arrays]
) -> None:
    assert len(steady(module, items, TOLERANCE)) == len(items)
    edge = overlap_that_decides(module, items[0])
    hanging = module.with_thresholds_moved(0.0)
    hanging._iou = edge
    kept = steady(hanging, items, TOLERANCE)
    assert not any(item is items[0] for item in kept)
    assert len(kept) == len(items) - 1


def test_a_detector_of_which_nothing_can_be_said_is_refused(
    module: BatchedDetector, items: list[Arrays]
) -> None:
    hanging = module.with_thresholds_moved(0.0)
    hanging._iou = overlap_that_decides(module, items[0])
    with pytest.raises(ParityError, match="1 of 1 pictures hangs"):
        steady(hanging, items[:1], TOLERANCE)


def test_moved_thresholds_leave_the_detector_as_it_was(
    module: BatchedDetector, items: list[Arrays]
) -> None:
    before = run(module, items[0])
    moved = module.with_thresholds_moved(0.05)
    scores = read(run(moved, items[0])).scores
    assert 0 < len(scores) < before["count"]
    assert scores.min() > 0.1
    assert deviation(run(module, items[0]), before) == 0
    assert {id(p) for p in moved.parameters()} == {id(p) for p in module.parameters()}


def test_golden_pictures_show_something_and_are_always_the_same(module: BatchedDetector) -> None:
    first, second = golden(module, SIDE, SIDE)
    again = golden(module, SIDE, SIDE)
    assert np.array_equal(first["images"], again[0]["images"])
    assert not np.array_equal(first["images"], second["images"])
    for item in (first, second):
        assert item["images"].shape == (SIDE, SIDE, 3)
        assert item["images"].dtype == np.uint8
        assert run(module, item)["count"] > 0
