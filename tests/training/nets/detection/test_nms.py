"""Non-maximum suppression with a mask: row by row what torchvision does, in a graph too."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from training.exportable import Graph
from training.graph import to_onnx
from training.nets.detection.nms import NEVER, TRANSLATIONS, nms_keep

IOU, LEAST = 0.5, 0.2
COUNT = 40


class Keep(nn.Module):
    """The operator alone."""

    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Which boxes survive."""
        kept: Tensor = nms_keep(boxes, scores, IOU, LEAST)
        return kept


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Crowded boxes; a quarter of them void, in every third row, from the second on, all."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, COUNT, 2, generator=random) * 20
    sides = 2 + torch.rand(count, COUNT, 2, generator=random) * 20
    scores = torch.rand(count, COUNT, generator=random)
    scores[:, ::4] = NEVER
    scores[1::3] = NEVER
    return torch.cat([corners, corners + sides], dim=2), scores


def expected(boxes: Tensor, scores: Tensor) -> Tensor:
    """What torchvision keeps of each row."""
    keep = torch.zeros(scores.shape, dtype=torch.bool)
    for row in range(len(scores)):
        (good,) = torch.where(scores[row] > LEAST)
        keep[row, good[torchvision.ops.nms(boxes[row, good], scores[row, good], IOU)]] = True
    return keep


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_row_is_torchvisions_by_itself(count: int) -> None:
    boxes, scores = rows(count)
    kept = nms_keep(boxes, scores, IOU, LEAST)
    assert kept.equal(expected(boxes, scores))
    assert 0 < kept[0].sum() < (scores[0] > LEAST).sum()
    assert not kept[1::3].any()


def test_a_void_box_suppresses_no_other() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]]])
    assert nms_keep(boxes, torch.tensor([[0.9, 0.8]]), IOU, LEAST).tolist() == [[True, False]]
    assert nms_keep(boxes, torch.tensor([[NEVER, 0.8]]), IOU, LEAST).tolist() == [[False, True]]
    assert nms_keep(boxes, torch.tensor([[LEAST, 0.8]]), IOU, LEAST).tolist() == [[False, True]]


def test_the_shape_is_known_without_the_boxes() -> None:
    torch.library.opcheck(nms_keep, (*rows(2), IOU, LEAST))
    with FakeTensorMode():
        kept = nms_keep(torch.empty(3, 7, 4), torch.empty(3, 7), IOU, LEAST)
    assert (kept.shape, kept.dtype) == ((3, 7), torch.bool)


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    """The operator as a graph."""
    boxes, scores = rows(2)
    graph = Graph(
        module=Keep(),
        example={"boxes": boxes, "scores": scores},
        outputs=("keep",),
        golden=(),
        checked=(),
        translations=TRANSLATIONS,
    )
    made = to_onnx(graph).SerializeToString()
    return ort.InferenceSession(made, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_graph_keeps_the_same_boxes(session: ort.InferenceSession, count: int, seed: int) -> None:
    boxes, scores = rows(count, seed)
    [kept] = session.run(None, {"boxes": boxes.numpy(), "scores": scores.numpy()})
    assert np.array_equal(kept, expected(boxes, scores).numpy())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_graph_keeps_nothing_where_there_is_nothing(
    session: ort.InferenceSession, count: int
) -> None:
    boxes, _ = rows(count)
    scores = np.full((count, COUNT), NEVER, np.float32)
    [kept] = session.run(None, {"boxes": boxes.numpy(), "scores": scores})
    assert kept.shape == (count, COUNT)
    assert not kept.any()
