from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from training.devices import Devices, launch
from training.nets.architectures import build
from training.tasks.caption import train
from training.tasks.caption.metrics import Quality, measure
from training.tasks.caption.predict import Words

PARTS = {"train": range(8), "val": range(8, 12), "test": range(12, 18)}
_COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 230)}


def write_captions(folder: Path, parts: dict[str, range]) -> Path:
    """Pictures of one colour on noise, 48x40, and what is said of each, twice."""
    folder.mkdir(parents=True)
    lines = ["image,caption,split"]
    for part, seeds in parts.items():
        for seed in seeds:
            random = np.random.default_rng(seed)
            name = list(_COLOURS)[seed % 3]
            pixels = random.integers(0, 60, (40, 48, 3), dtype=np.uint8)
            top, left = random.integers(0, 16, 2)
            pixels[top : top + 20, left : left + 24] = _COLOURS[name]
            Image.fromarray(pixels).save(folder / f"{seed:04}.png")
            lines.append(f"{seed:04}.png,A {name} thing lies on the ground .,{part}")
            lines.append(f"{seed:04}.png,Something {name} is there,{part}")
    (folder / "captions.csv").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and captions, divided: 8, 4 and 6."""
    return write_captions(tmp_path_factory.mktemp("sets") / "things", PARTS)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of a mobilenet_v2 that tells pictures apart but was never trained."""
    torch.manual_seed(0)
    net = build("mobilenet_v2", 1000)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(8, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "begun.pth"
    torch.save(net.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Trainings take their intervals from few draws of pictures; a thousand take a while."""

    def few(
        captions: Sequence[Words], references: Sequence[Sequence[Words]], resamples: int
    ) -> Quality:
        return measure(captions, references, min(resamples, 20))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "measure", few)
        yield


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    """One process on the CPU."""
    return launch(Devices(accelerator="cpu"))
