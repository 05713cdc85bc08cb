"""MNIST as the service will see it: through the resize rule and the graph's own first part."""

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

#: The middle of a photograph, whatever its shape.
GEOMETRY = InputGeometry(height=CANVAS, width=CANVAS, resize="shortest_side")
_AT_ONCE = 500


def canvas(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture ``uint8[H, W]`` as the graph takes it, ``uint8[112, 112, 3]``."""
    picture = Image.fromarray(image).convert("RGB")
    box = (0, 0, picture.width, picture.height)
    return fit(Picture(picture, picture.width, picture.height, box), GEOMETRY)[0]


def framed(labelled: Labelled) -> Labelled:
    """The same digits as ``training.nets.digits.Digits`` frames them, ``uint8[N, 28, 28, 1]``."""
    front = Digits().eval()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for images in torch.split(labelled.images, _AT_ONCE):
            canvases = np.stack([canvas(image) for image in images[..., 0].numpy()])
            ink = front(torch.from_numpy(canvases))
            parts.append((ink * 255).round().to(torch.uint8).permute(0, 2, 3, 1))
    return Labelled(torch.cat(parts).clone(), labelled.targets, labelled.classes)
