from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from tests.training.style_sets import random_weights, write_pictures
from training import weights
from training.devices import Devices, launch
from training.nets.style.loading import load_vgg
from training.nets.style.vgg import Vgg19

STATES = random_weights()


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, models and the cache stay in the test's folder; weights are random."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(weights, "load", lambda row, _=None: STATES[row])


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve, 90x72."""
    return write_pictures(tmp_path_factory.mktemp("sets") / "photographs", 12, seed=1)


@pytest.fixture(scope="session")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six, 72x90."""
    folder = tmp_path_factory.mktemp("sets") / "paintings"
    return write_pictures(folder, 6, seed=2, size=(72, 90))


@pytest.fixture
def vgg() -> Vgg19:
    """Of random weights."""
    torch.manual_seed(0)
    return load_vgg()


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    """One process on the CPU."""
    return launch(Devices(accelerator="cpu"))
