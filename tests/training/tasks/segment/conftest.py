from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from tests.training.mask_sets import draw, write_lists, write_mask, write_masks
from training.devices import Devices, launch
from training.tasks.segment import train
from training.tasks.segment.metrics import measure

PARTS = {"train": range(8), "val": range(8, 12), "test": range(12, 18)}


@pytest.fixture(scope="session")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs and squares with void edges, 96x72, and lists that divide them: 8, 4 and 6."""
    folder = write_masks(tmp_path_factory.mktemp("sets") / "shapes", 18)
    for seed in range(18):
        write_mask(folder / "masks" / f"{seed:04}.png", draw(seed, edges=True)[1])
    write_lists(folder, {part: [f"{seed:04}" for seed in seeds] for part, seeds in PARTS.items()})
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Trainings take their intervals from few draws of pictures; a thousand take a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "measure", partial(measure, resamples=20))
        yield


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    """One process on the CPU."""
    return launch(Devices(accelerator="cpu"))
