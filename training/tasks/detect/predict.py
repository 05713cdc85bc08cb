"""What a detector finds in pictures, measured where a person sees them: in the originals."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from service.boxes import suppress
from service.resize import Placement, place
from service.session import Arrays, Session
from training.data.box_pictures import BoxPictures
from training.data.order import WHOLE
from training.recipe import Part
from training.tasks.detect.metrics import Detections

OUTPUTS = ("boxes", "scores", "labels", "count")
"""Of a detector's graph, in order."""

_AT_ONCE = 8


def predict(
    module: nn.Module, pictures: BoxPictures, iou_threshold: float, part: Part = WHOLE
) -> list[Detections]:
    """What a module finds in every picture, or in one process's part of them.

    Args:
        module: a ``BatchedDetector``, in evaluation mode.
        pictures: not varied.
        iou_threshold: as a request would give it.
        part: this process; of ``world`` pictures it takes one.
    """
    device = next(module.parameters()).device
    found: list[Detections] = []
    with torch.inference_mode():
        for indices in _batches(range(part.rank, len(pictures), part.world)):
            images = torch.stack([pictures[index].image for index in indices])
            outputs = module(images.permute(0, 2, 3, 1).to(device))
            arrays = [tensor.cpu().numpy() for tensor in outputs]
            for row, index in enumerate(indices):
                one = {name: array[row] for name, array in zip(OUTPUTS, arrays, strict=True)}
                found.append(in_original(one, placement(pictures, index), iou_threshold))
    return found


def predict_with(session: Session, pictures: BoxPictures, iou_threshold: float) -> list[Detections]:
    """What a graph finds in every picture."""
    return [
        in_original(
            session.run([{"images": item(pictures, index)}])[0],
            placement(pictures, index),
            iou_threshold,
        )
        for index in range(len(pictures))
    ]


def item(pictures: BoxPictures, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture as the service would hand it to the graph, ``uint8[H, W, 3]``."""
    return np.ascontiguousarray(pictures[index].image.permute(1, 2, 0).numpy())


def placement(pictures: BoxPictures, index: int) -> Placement:
    """Where a picture's original lies in what the graph takes."""
    boxed = pictures.boxed.items[index]
    return place(boxed.width, boxed.height, pictures.geometry)[0]


def in_original(outputs: Arrays, where: Placement, iou_threshold: float) -> Detections:
    """A graph's outputs for one picture as the service tells them, whatever their score.

    Args:
        outputs: of the graph, without the batch dimension.
        where: the original lies in the graph's input.
        iou_threshold: as a request would give it.
    """
    count = int(outputs["count"])
    scores, labels = outputs["scores"][:count], outputs["labels"][:count].astype(np.int64)
    boxes = where.to_original(outputs["boxes"][:count].reshape(-1, 2, 2)).reshape(-1, 4)
    is_seen = (boxes[:, :2] < boxes[:, 2:]).all(1)
    boxes, scores, labels = boxes[is_seen], scores[is_seen], labels[is_seen]
    kept = suppress(boxes, labels, iou_threshold)
    return Detections(boxes[kept], scores[kept], labels[kept])


def _batches(indices: range) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), _AT_ONCE):
        yield indices[start : start + _AT_ONCE]
