"""What is asked of pictures in the style of some paintings, computed once for each painting."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.nets.style.losses import gram
from training.nets.style.statistics import style_code
from training.nets.style.stylizer import Stylizer, pixels_of
from training.nets.style.vgg import ENCODED


@dataclass(frozen=True, slots=True)
class Targets:
    """Of V views of paintings.

    Attributes:
        grams: ``float16[V, C, C]`` by layer: 0.7 MB a view, half of what float32 would take.
        codes: ``float32[V, K]``.
    """

    grams: Mapping[str, Tensor]
    codes: Tensor

    def of(self, numbers: Tensor, device: torch.device) -> tuple[Mapping[str, Tensor], Tensor]:
        """Gram matrices in float32 and codes of some views, ``int64[N]``."""
        chosen = numbers.to(self.codes.device)
        grams = {name: table[chosen].to(device).float() for name, table in self.grams.items()}
        return grams, self.codes[chosen].to(device)


@torch.inference_mode()
def targets(
    vgg: nn.Module, net: Stylizer, views: NDArray[np.uint8], device: torch.device
) -> Targets:
    """Compute the targets of all views, one by one.

    Args:
        vgg: gives the activations of ENCODED, on the device.
        net: whose codes are wanted, likewise; its encoder is ``vgg``.
        views: ``uint8[V, S, S, 3]``.
        device: to compute on; what is found is kept on the CPU.
    """
    codes = []
    tables = None
    for number, view in enumerate(views):
        pixels = pixels_of(torch.from_numpy(view[None])).to(device)
        found, seen = vgg(pixels), net.seen(pixels)
        told = found if seen is pixels else vgg(seen)
        codes.append(style_code([told[name] for name in ENCODED]).cpu())
        grams = [gram(found[name]).half().cpu() for name in ENCODED]
        if tables is None:
            tables = [torch.empty((len(views), *g.shape[1:]), dtype=g.dtype) for g in grams]
        for table, own in zip(tables, grams, strict=True):
            table[number] = own[0]
    assert tables is not None
    return Targets(dict(zip(ENCODED, tables, strict=True)), torch.cat(codes))
