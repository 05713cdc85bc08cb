"""What is found in pictures, told in pixels of the originals, as the service tells it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.session import Arrays
from training.data.box_folders import read_boxes
from training.data.box_pictures import BoxPictures
from training.recipe import Part
from training.tasks.detect.predict import in_original, item, placement, predict

SIZE = 64


class Red(nn.Module):
    """Finds, in each picture, the box around all that is red, twice, and a void slot."""

    def __init__(self) -> None:
        super().__init__()
        self.least = nn.Parameter(torch.tensor(150.0))
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``uint8[N, H, W, 3]`` to a detector's outputs."""
        self.batches.append(len(images))
        boxes = torch.zeros(len(images), 3, 4)
        for row, image in enumerate(images.float()):
            y, x = torch.nonzero((image[..., 0] > self.least) & (image[..., 2] < 100)).T
            corners = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1])
            boxes[row, :2] = corners.float()
        scores = torch.tensor([0.9, 0.8, 0.0]).expand(len(images), -1)
        return boxes, scores, torch.zeros(len(images), 3).int(), torch.full((len(images),), 2)


@pytest.fixture(scope="module")
def pictures(boxes: Path) -> BoxPictures:
    return BoxPictures(read_boxes(boxes, ("disc",))["train"], SIZE, 127)


def outputs(*rows: tuple[float, ...], count: int | None = None) -> Arrays:
    """Boxes, score and label in each row."""
    table = np.array(rows, np.float32)
    return {
        "boxes": table[:, :4],
        "scores": table[:, 4],
        "labels": table[:, 5].astype(np.int32),
        "count": np.array(len(rows) if count is None else count, np.int32),
    }


def test_boxes_are_those_of_the_original_and_each_picture_has_its_own(
    pictures: BoxPictures,
) -> None:
    found = predict(Red(), pictures, 0.5)
    assert len(found) == len(pictures) == 8
    for one, truth in zip(found, pictures.boxed.items, strict=True):
        around = [*truth.boxes[:, :2].min(0), *truth.boxes[:, 2:].max(0)]
        np.testing.assert_allclose(one.boxes, [around], atol=2)  # 96 pixels became 64
        assert one.scores.tolist() == pytest.approx([0.9])  # the second one was suppressed
        assert one.labels.tolist() == [0]


def test_processes_share_the_pictures(pictures: BoxPictures) -> None:
    whole = predict(Red(), pictures, 0.5)
    parts = [predict(Red(), pictures, 0.5, Part(rank, 3)) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 3, 2]
    for index, one in enumerate(whole):
        assert np.array_equal(parts[index % 3][index // 3].boxes, one.boxes)


def test_pictures_go_through_a_few_at_a_time(boxes: Path) -> None:
    train = read_boxes(boxes, ("disc",))["train"]
    module = Red()
    many = BoxPictures(train.merged([train, train.subset([0, 1])]), SIZE, 127)
    predict(module, many, 0.5)
    assert module.batches == [8, 2]


def test_overlapping_boxes_of_one_class_are_suppressed_as_a_request_would(
    pictures: BoxPictures,
) -> None:
    where = placement(pictures, 0)
    given = outputs(
        (10, 20, 30, 40, 0.9, 0),
        (10, 20, 30, 36, 0.8, 0),  # overlaps the first by 0.8
        (10, 20, 30, 40, 0.7, 1),
        (40, 20, 50, 40, 0.06, 0),
    )
    assert len(in_original(given, where, 0.5).scores) == 3
    assert len(in_original(given, where, 0.85).scores) == 4
    assert in_original(given, where, 0.5).labels.tolist() == [0, 1, 0]


def test_void_slots_and_boxes_in_the_margin_are_left_out(pictures: BoxPictures) -> None:
    where = placement(pictures, 0)
    margin = where.offset[1]
    assert margin > 4
    given = outputs(
        (10, 1, 30, margin - 1, 0.9, 0),  # above the picture
        (-9, margin - 2, 24, margin + 4, 0.8, 1),
        (0, 0, 64, 64, 0.7, 1),
        count=2,
    )
    found = in_original(given, where, 0.5)
    np.testing.assert_allclose(found.boxes, [[0, 0, 36, 6]], atol=1e-4)
    assert found.labels.tolist() == [1]
    none = in_original(outputs((0, 0, 9, 9, 0.9, 0), count=0), where, 0.5)
    assert none.boxes.shape == (0, 4)
    assert len(none.scores) == len(none.labels) == 0


def test_a_graph_is_given_the_pixels_that_the_module_sees(pictures: BoxPictures) -> None:
    pixels = item(pictures, 3)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels.transpose(2, 0, 1), pictures[3].image.numpy())
