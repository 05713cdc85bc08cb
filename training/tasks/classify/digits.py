"""MNIST as the service will see it: through the resize rule and the graph's own first part."""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from service.contract import InputGeometry
from service.images import Picture
from service.resize import fit
from training.data.labelled import Labelled
from training.nets.digits import CANVAS, Digits
from training.run import replacing

#: The middle of a photograph, whatever its shape.
GEOMETRY = InputGeometry(height=CANVAS, width=CANVAS, resize="shortest_side")
_AT_ONCE = 500
_FIRST = 200


def canvas(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture ``uint8[H, W]`` as the graph takes it, ``uint8[112, 112, 3]``."""
    picture = Image.fromarray(image).convert("RGB")
    box = (0, 0, picture.width, picture.height)
    return fit(Picture(picture, picture.width, picture.height, box), GEOMETRY)[0]


def framed(labelled: Labelled, kept: Path | None = None) -> Labelled:
    """The same digits as ``training.nets.digits.Digits`` frames them, ``uint8[N, 28, 28, 1]``.

    That takes minutes for all of MNIST, so it can be kept. What was kept is taken if the first
    digits, framed anew, come out as they were: neither the network nor the machine has changed.

    Args:
        labelled: digits, ``uint8[N, H, W, 1]``.
        kept: folder for what was framed, of sets of more than some hundred.
    """
    images = labelled.images
    if kept is None or len(images) <= _FIRST:
        return _of(labelled, _frame(images))
    path = kept / f"framed-{hashlib.sha256(images.numpy().tobytes()).hexdigest()[:16]}.npy"
    first = _frame(images[:_FIRST])
    found = _read(path)
    if found is None or found.shape[:1] != images.shape[:1] or not found[:_FIRST].equal(first):
        found = torch.cat((first, _frame(images[_FIRST:])))
        with suppress(OSError):  # a cache that cannot be written costs minutes, no training
            kept.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, found.numpy())
    return _of(labelled, found)


def _frame(images: Tensor) -> Tensor:
    front = Digits().eval()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for some in torch.split(images, _AT_ONCE):
            canvases = np.stack([canvas(image) for image in some[..., 0].numpy()])
            ink = front(torch.from_numpy(canvases))
            parts.append((ink * 255).round().to(torch.uint8).permute(0, 2, 3, 1))
    return torch.cat(parts).clone()


def _of(labelled: Labelled, images: Tensor) -> Labelled:
    return Labelled(images, labelled.targets, labelled.classes)


def _read(path: Path) -> Tensor | None:
    """What is kept; none if there is nothing, or it is not what was written."""
    try:
        return torch.from_numpy(np.load(path))
    except (OSError, ValueError, TypeError):
        return None
