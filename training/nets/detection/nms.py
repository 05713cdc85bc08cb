"""Non-maximum suppression that a batched graph can hold: a mask in place of a list of survivors."""

from typing import Any

import torch
import torchvision
from onnxscript import BOOL, opset20
from torch import Tensor

#: What is not to be kept whatever happens has this score; real ones are above 0.
NEVER = -1.0


@torch.library.custom_op("sightline::nms_keep", mutates_args=())
def nms_keep(boxes: Tensor, scores: Tensor, iou_threshold: float, least: float) -> Tensor:
    """Which boxes survive, each row by itself.

    A mask has the shape of its input whatever the picture shows, so that no shape of a graph
    depends on what is found, and none breaks when nothing is.

    Args:
        boxes: ``float32[B, K, 4]`` x_min, y_min, x_max, y_max.
        scores: ``float32[B, K]``.
        iou_threshold: the weaker of two boxes that overlap by more goes.
        least: boxes that do not score more are not kept and suppress no other.

    Returns:
        ``bool[B, K]``.
    """
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for row in range(scores.shape[0]):
        candidates = torch.nonzero(scores[row] > least)[:, 0]
        found = torchvision.ops.nms(boxes[row, candidates], scores[row, candidates], iou_threshold)
        keep[row, candidates[found]] = True
    return keep


@nms_keep.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, least: float) -> Tensor:
    del boxes, iou_threshold, least
    return torch.empty_like(scores, dtype=torch.bool)


def _to_onnx(boxes: Any, scores: Any, iou_threshold: float, least: float) -> Any:
    op: Any = opset20  # its annotations are the schemas' and too narrow for constants
    rows = op.Unsqueeze(scores, op.Constant(value_ints=[1]))
    selected = op.NonMaxSuppression(
        boxes,
        rows,
        op.Shape(scores, start=1, end=2),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[least]),
    )
    where = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)
    found = op.Shape(selected, start=0, end=1)
    no = op.Cast(op.Constant(value_int=0), to=BOOL.dtype)
    yes = op.Cast(op.Constant(value_int=1), to=BOOL.dtype)
    return op.ScatterND(op.Expand(no, op.Shape(scores)), where, op.Expand(yes, found))


#: For ``training.exportable.Graph``: how the exporter writes ``nms_keep``.
TRANSLATIONS: dict[Any, Any] = {torch.ops.sightline.nms_keep.default: _to_onnx}
