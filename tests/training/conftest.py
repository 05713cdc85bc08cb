"""A tiny classifier and what it takes to export it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.contract import DataSource, InputGeometry
from training.exportable import Card, Exportable, Graph
from training.golden import golden_pictures
from training.nets.pixels import Pixels

SIZE = 32
CLASSES = 5


class TinyNet(nn.Module):
    """Two convolutions with a residual around the second, pooled into a few logits."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Pixels(127.0, 128.0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.relu6(self.norm(self.first(self.pixels(images))))
        x = x + nn.functional.relu(self.second(x))
        logits: Tensor = self.last(x.mean(dim=(2, 3)))
        return logits


def _pictures(count: int, seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    base = random.uniform(0, 255, (count, 1, 1, 3))
    noise = random.normal(0, 40, (count, SIZE, SIZE, 3))
    pictures = np.clip(base + noise, 0, 255).astype(np.uint8)
    return [{"images": picture} for picture in pictures]


@dataclass
class Tiny:
    """The graph and a way to make an exportable of it, or of a variation."""

    graph: Graph

    def exportable(self, **changes: Any) -> Exportable:
        graph_changes = {k: changes.pop(k) for k in list(changes) if hasattr(self.graph, k)}
        exportable = Exportable(
            name="tiny",
            version="1",
            task="classify",
            description="A tiny classifier.",
            graphs={"main": replace(self.graph, **graph_changes)},
            input=InputGeometry(height=SIZE, width=SIZE, resize="squash"),
            card=Card(summary="Tiny.", use="Tests.", data="Noise.", figures="Made up."),
            command="pytest",
            data=(DataSource(name="noise", licence="CC0-1.0"),),
            licence="Apache-2.0",
            labels=tuple("abcde"),
        )
        return replace(exportable, **changes)


def _tiny() -> Tiny:
    torch.manual_seed(0)
    net = TinyNet().eval()
    return Tiny(
        Graph(
            module=net,
            example={"images": torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)},
            outputs=("logits",),
            golden=[{"images": picture} for picture in golden_pictures(SIZE, SIZE)],
            checked=_pictures(9, seed=1),
            calibration=_pictures(12, seed=2),
        )
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On busy cores the threads of tiny networks mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The service's command line sets logging up for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def make_tiny() -> Callable[[], Tiny]:
    """Makes the tiny network, always with the same weights."""
    return _tiny


@pytest.fixture
def tiny() -> Tiny:
    """The tiny network, for one test to change."""
    return _tiny()
