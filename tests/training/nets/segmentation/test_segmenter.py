"""Pixels in, classes out: by PyTorch, and as a graph by ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.contract import Parity
from service.device import Device
from service.session import Arrays, Session, open_session
from service.tasks.segment import deviation
from tests.training.nets.segmentation.random_segmenters import (
    DILATED,
    LIGHT,
    SEGNET,
    VGG,
    painted,
    random_segmenter,
    served,
)
from training.calibration import calibrate
from training.exportable import Graph
from training.graph import reference, to_onnx
from training.nets.pixels import Pixels
from training.nets.segmentation.segmenter import OUTPUTS, Segmenter
from training.onnx_file import save, to_float16, variant
from training.quantize import quantize, to_observe

#: SegNet halves 40 rows to 20, 10, 5, 3 and 2.
HEIGHT, WIDTH = 40, 72


class Scores(nn.Module):
    """Gives the same scores whatever it is shown."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[1] == 3
        return self.scores.expand(len(images), -1, -1, -1)


def test_the_mask_has_the_highest_score_and_the_confidence_is_its_probability() -> None:
    torch.manual_seed(0)
    scores = 4 * torch.randn(1, 255, 6, 7)
    images = torch.zeros(2, 6, 7, 3, dtype=torch.uint8)
    mask, confidence = Segmenter(Scores(scores), Pixels(127.0, 128.0))(images)
    exponents = np.exp(scores[0].numpy().astype(np.float64))
    probability: NDArray[np.float64] = exponents / exponents.sum(0)
    for one, sure in zip(mask, confidence, strict=True):
        assert one.dtype == sure.dtype == torch.uint8
        assert np.array_equal(one, probability.argmax(0))
        assert np.array_equal(sure, np.rint(probability.max(0) * 255))
    assert mask.max() > 127


def test_of_equal_scores_the_first_counts_and_large_ones_do_no_harm() -> None:
    scores = torch.tensor([1e4, 1e4, -1e4, 0.0]).reshape(1, 4, 1, 1)
    images = torch.zeros(1, 1, 1, 3, dtype=torch.uint8)
    for order, expected in (([0, 1, 2, 3], (0, 128)), ([2, 0, 3, 2], (1, 255))):
        mask, confidence = Segmenter(Scores(scores[:, order]), Pixels(0.0, 1.0))(images)
        assert (int(mask), int(confidence)) == expected


def graph(name: str, pictures: Tensor) -> Graph:
    """Of a network that was never trained."""
    return Graph(
        served(random_segmenter(name), name),
        example={"images": torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.uint8)},
        outputs=OUTPUTS,
        golden=(),
        checked=items(pictures),
    )


def items(pictures: Tensor) -> list[Arrays]:
    return [{"images": picture.numpy()} for picture in pictures]


def opened(model: onnx.ModelProto, path: Path) -> Session:
    """As the service opens it."""
    described = variant(model, path.name, save(model, path), Parity(tolerance=0, measured=0))
    return open_session(path, described, "graphs.main.fp32", Device("cpu", 1))


def furthest(found: Session, inputs: list[Arrays], expected: list[Arrays]) -> float:
    """The largest deviation, pictures one by one and all at once."""
    alone = [found.run([one])[0] for one in inputs]
    return max(
        deviation(actual, wanted)
        for outputs in (alone, found.run(inputs))
        for actual, wanted in zip(outputs, expected, strict=True)
    )


@pytest.mark.parametrize("name", [LIGHT, VGG, SEGNET, DILATED])
def test_onnx_runtime_labels_999_of_1000_pixels_alike(name: str, tmp_path: Path) -> None:
    made = graph(name, painted(3, HEIGHT, WIDTH, seed=1))
    inputs = list(made.checked)
    expected = reference(made, inputs)
    assert len(np.unique([one["mask"] for one in expected])) > 1
    assert len(np.unique([one["confidence"] for one in expected])) > 10
    model = to_onnx(made)
    for value, channels in zip(
        (*model.graph.input, *model.graph.output), ([3], [], []), strict=True
    ):
        dimensions = value.type.tensor_type.shape.dim
        sides = [each.dim_param or each.dim_value for each in dimensions]
        assert sides == ["N", HEIGHT, WIDTH, *channels]
    exact = opened(model, tmp_path / "model.onnx")
    assert furthest(exact, inputs, expected) <= 0.001

    if name not in (VGG, SEGNET):
        return  # where the variants of others are made, these are compared
    half = opened(to_float16(model), tmp_path / "model.fp16.onnx")
    integers = quantize(model, calibrate(model, inputs, to_observe(model)))
    assert any(node.op_type == "QuantizeLinear" for node in integers.graph.node)
    eighth = opened(integers, tmp_path / "model.int8.onnx")
    for rounded in (half, eighth):  # a picture is labelled as in a batch
        assert furthest(rounded, inputs, rounded.run(inputs)) == 0
    # In a SegNet that was never trained, the last digits decide where many a maximum lies.
    assert furthest(half, inputs, expected) < (0.4 if name == SEGNET else 0.01)
