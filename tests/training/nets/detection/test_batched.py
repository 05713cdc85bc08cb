"""A detector with fixed slots finds what torchvision's own inference finds."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from service.session import Arrays, split
from service.tasks.detect import deviation
from tests.training.nets.detection.random_detectors import (
    CLASSES,
    LIGHT,
    TORCHVISIONS,
    batched,
    colourful,
    random_detector,
    torchvisions,
)
from training.nets.detection.batched import BatchedDetector, decode

OUTPUTS = ("boxes", "scores", "labels", "count")
TOLERANCE = 1e-5


def found(module: BatchedDetector, images: Tensor) -> list[Arrays]:
    with torch.inference_mode():
        outputs = module(images)
    named = zip(OUTPUTS, outputs, strict=True)
    return split({name: tensor.numpy() for name, tensor in named}, len(images))


def assert_as_torchvision(module: BatchedDetector, images: Tensor) -> list[int]:
    """Compare them picture by picture; returns how many detections each picture has."""
    expected = torchvisions(module.detector, module.pixels(images))
    outputs = found(module, images)
    counts = [int(one["count"]) for one in outputs]
    assert counts == [int(one["count"]) for one in expected]
    assert max(map(deviation, outputs, expected)) <= TOLERANCE
    return counts


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        (LIGHT, 96, 128),
        (LIGHT, 128, 64),
        (LIGHT, 96, 96),
        (LIGHT, 72, 100),  # no multiple of 32
        (TORCHVISIONS, 96, 128),
        (TORCHVISIONS, 128, 96),
    ],
)
def test_detections_are_torchvisions(name: str, height: int, width: int) -> None:
    module = batched(random_detector(name), name, height, width)
    counts = assert_as_torchvision(module, colourful(3, height, width))
    assert min(counts) > 3
    assert len(set(counts)) > 1


@pytest.mark.parametrize(("name", "grey"), [(LIGHT, 0), (LIGHT, 255), (TORCHVISIONS, 0)])
def test_a_picture_that_shows_nothing(name: str, grey: int) -> None:
    module = batched(random_detector(name), name, 96, 96)
    blank = torch.full((1, 96, 96, 3), grey, dtype=torch.uint8)
    assert_as_torchvision(module, torch.cat([blank, colourful(1, 96, 96), blank]))


def test_slots_are_sorted_and_void_ones_are_zeros() -> None:
    detector = random_detector()
    module = batched(detector, LIGHT, 96, 128)
    with torch.inference_mode():
        boxes, scores, labels, count = module(colourful(3, 96, 128))
    slots = detector.roi_heads.detections_per_img
    assert (boxes.shape, boxes.dtype) == ((3, slots, 4), torch.float32)
    assert (scores.shape, scores.dtype) == ((3, slots), torch.float32)
    assert (labels.shape, labels.dtype) == ((3, slots), torch.int32)
    assert (count.shape, count.dtype) == ((3,), torch.int32)
    for row, filled in enumerate(count.tolist()):
        assert 0 < filled < slots
        assert (scores[row, :filled] > detector.roi_heads.score_thresh).all()
        assert (scores[row].diff() <= 0).all()
        assert not boxes[row, filled:].any()
        assert not scores[row, filled:].any()
        assert not labels[row, filled:].any()
        assert (boxes[row, :filled, :2] < boxes[row, :filled, 2:]).all()
        assert (boxes[row, :filled] <= torch.tensor([128, 96, 128, 96])).all()
        assert (boxes[row, :filled] >= 0).all()
    assert set(labels.unique().tolist()) == set(range(CLASSES))


def test_nothing_is_found_where_no_score_suffices() -> None:
    detector = random_detector()
    detector.roi_heads.score_thresh = 1.0
    module = batched(detector, LIGHT, 96, 96)
    assert assert_as_torchvision(module, colourful(2, 96, 96)) == [0, 0]
    for one in found(module, colourful(2, 96, 96)):
        assert not any(np.any(array) for array in one.values())


def test_nothing_is_found_where_nothing_is_proposed() -> None:
    detector = random_detector()
    detector.rpn.score_thresh = 1.1
    module = batched(detector, LIGHT, 96, 96)
    assert assert_as_torchvision(module, colourful(2, 96, 96)) == [0, 0]


def test_fewer_proposals_than_slots() -> None:
    detector = random_detector()
    detector.rpn.score_thresh = 0.9
    module = batched(detector, LIGHT, 96, 128)
    assert min(assert_as_torchvision(module, colourful(3, 96, 128))) > 0


def test_more_detections_than_slots() -> None:
    detector = random_detector()
    detector.roi_heads.detections_per_img = 7
    module = batched(detector, LIGHT, 96, 128)
    assert assert_as_torchvision(module, colourful(2, 96, 128)) == [7, 7]


def test_a_picture_is_answered_alike_alone_and_among_others() -> None:
    module = batched(random_detector(), LIGHT, 96, 128)
    images = colourful(5, 96, 128)
    together = found(module, images)
    alone = [found(module, one[None])[0] for one in images]
    assert max(map(deviation, together, alone)) <= TOLERANCE


def test_building_it_leaves_a_detector_in_its_mode_and_its_weights_shared() -> None:
    detector = random_detector()
    for mode in (True, False):
        module = batched(detector.train(mode), LIGHT, 64, 64)
        assert module.detector is detector
    detector.train()
    BatchedDetector(detector, module.pixels, 64, 64)
    assert detector.training
    assert module.state_dict().keys() == {f"detector.{name}" for name in detector.state_dict()}


def test_boxes_are_decoded_as_by_torchvision() -> None:
    random = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 2, generator=random) * 40
    boxes = torch.cat([corners, corners + 1 + torch.rand(50, 2, generator=random) * 40], dim=1)
    deltas = torch.randn(50, 4, generator=random) * torch.tensor([1.0, 1.0, 4.0, 4.0])
    deltas[0] = torch.tensor([0.0, 0.0, 100.0, 100.0])  # would overflow
    weights = (10.0, 10.0, 5.0, 5.0)
    expected = BoxCoder(weights).decode_single(deltas, boxes)
    torch.testing.assert_close(decode(deltas, boxes, weights), expected)
