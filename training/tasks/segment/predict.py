"""Masks as a person sees them, at the size of the originals, and compared with the truth."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from service.masks import to_original
from service.session import Session
from training.data.mask_pictures import MaskPictures
from training.data.order import WHOLE
from training.recipe import Part
from training.tasks.segment.metrics import confusion

_AT_ONCE = 8

Confusion = NDArray[np.int64]


def predict(
    module: nn.Module, pictures: MaskPictures, part: Part = WHOLE
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """What a module says of every picture, or of one process's part of them.

    Args:
        module: a ``Segmenter``, in evaluation mode.
        pictures: not varied.
        part: this process; of ``world`` pictures it takes one.

    Yields:
        A picture's index and its mask ``uint8[H, W]`` at the upright original's size.
    """
    device = next(module.parameters()).device
    mine = range(part.rank, len(pictures), part.world)
    for start in range(0, len(mine), _AT_ONCE):
        indices = mine[start : start + _AT_ONCE]
        images = torch.stack([pictures.picture(index) for index in indices])
        with torch.inference_mode():
            masks, _ = module(images.permute(0, 2, 3, 1).to(device))
        for index, mask in zip(indices, masks.cpu().numpy(), strict=True):
            yield index, to_original(mask, pictures.placement(index))


def mask_of(module: nn.Module, pictures: MaskPictures, index: int) -> NDArray[np.uint8]:
    """What a module says of one picture, ``uint8[H, W]``; see ``predict``."""
    return next(predict(module, pictures, Part(index, len(pictures))))[1]


def confusions(module: nn.Module, pictures: MaskPictures, part: Part = WHOLE) -> list[Confusion]:
    """Each picture's confusion matrix ``int64[C, C]``, of this process's part; see ``predict``."""
    return [_compared(pictures, index, mask) for index, mask in predict(module, pictures, part)]


def confusions_with(session: Session, pictures: MaskPictures) -> Sequence[Confusion]:
    """Each picture's confusion matrix by a graph."""
    found = []
    for index in range(len(pictures)):
        outputs = session.run([{"images": item(pictures, index)}], lone=True)[0]
        mask = to_original(outputs["mask"], pictures.placement(index))
        found.append(_compared(pictures, index, mask))
    return found


def item(pictures: MaskPictures, index: int) -> NDArray[np.uint8]:
    """A picture as the service would hand it to the graph, ``uint8[H, W, 3]``."""
    return np.ascontiguousarray(pictures.picture(index).permute(1, 2, 0).numpy())


def _compared(pictures: MaskPictures, index: int, mask: NDArray[np.uint8]) -> Confusion:
    return confusion(pictures.original(index)[0], mask, len(pictures.masked.classes))
