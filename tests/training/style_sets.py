"""Small sets of photographs and paintings, drawn by code, and a VGG-19 that knows nothing."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.conversions import State
from training.nets.style.adain import VggDecoder
from training.nets.style.vgg import LAYERS, Vgg19
from training.weights import STYLE_TABLE


def write_pictures(folder: Path, count: int, seed: int, size: tuple[int, int] = (90, 72)) -> Path:
    """Coloured gradients with noise, ``size`` pixels wide and high."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        random = np.random.default_rng((seed, number))
        y, x = np.mgrid[: size[1], : size[0]] / max(size)
        slope = random.uniform(-200, 200, (2, 3))
        base = random.uniform(60, 190, 3) + y[..., None] * slope[0] + x[..., None] * slope[1]
        pixels = np.clip(base + random.normal(0, 15, base.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def random_weights() -> dict[str, State]:
    """Random weights under the names of the weights table, activations of like size in all."""
    generator = torch.Generator().manual_seed(0)
    states: dict[str, State] = {}
    for row, net in (("vgg19-normalised", Vgg19(LAYERS[-1:])), ("adain-decoder", VggDecoder())):
        state = {}
        for name, tensor in net.state_dict().items():
            if name.startswith(STYLE_TABLE["adain-decoder"].lacks):
                continue
            if name.endswith("bias"):
                state[name] = torch.randn(tensor.shape, generator=generator) * 0.01
            else:
                spread = (2 / tensor[0].numel()) ** 0.5
                state[name] = torch.randn(tensor.shape, generator=generator) * spread
        states[row] = state
    return states
