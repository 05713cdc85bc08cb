from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from tests.training.box_sets import write_voc
from training.devices import Devices, launch
from training.tasks.detect import train
from training.tasks.detect.metrics import measure


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in VOC's form that divides itself: discs and squares, 96x72."""
    folder = tmp_path_factory.mktemp("sets") / "shapes"
    return write_voc(folder, {"train": 8, "val": 4, "test": 6})


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Trainings take their intervals from few draws of pictures; a thousand take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "measure", partial(measure, resamples=20))
        yield


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    """One process on the CPU."""
    return launch(Devices(accelerator="cpu"))
