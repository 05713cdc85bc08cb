from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from tests.training.tasks.classify import tiny_sets
from training.data import benchmarks
from training.devices import Devices, launch


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of ten crops each."""
    return tiny_sets.write_folder(tmp_path_factory.mktemp("sets") / "crops")


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> dict[str, Path]:
    """The files of each data set in small."""
    root = tmp_path_factory.mktemp("benchmarks")
    return {
        "folder": folder,
        "mnist": tiny_sets.write_mnist(root / "mnist"),
        "fashion-mnist": tiny_sets.write_mnist(root / "fashion", crops=True),
        "cifar10": tiny_sets.write_cifar(root / "cifar"),
    }


@pytest.fixture(scope="module", autouse=True)
def small_benchmarks() -> Iterator[None]:
    """Benchmarks of few pictures."""
    counts = (tiny_sets.TRAINING, tiny_sets.TEST)
    with pytest.MonkeyPatch.context() as patch:
        small = {
            name: replace(benchmark, counts=counts)
            for name, benchmark in benchmarks.BENCHMARKS.items()
        }
        patch.setattr(benchmarks, "BENCHMARKS", small)
        yield


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    """One process on the CPU."""
    return launch(Devices(accelerator="cpu"))
