"""Labelled pictures to measure a classifier on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.contract import DataSource, InputGeometry
from service.images import Limits, decode
from service.resize import fit, needed_size

SAMPLE_NAME = "imagenet-sample-images"
SAMPLE_SIZE = 1000
SAMPLE_SOURCE = DataSource(
    name=f"{SAMPLE_NAME} (1000 pictures, one a class), to measure",
    licence="ImageNet's terms: non-commercial research; not distributed with the model",
    url="https://github.com/EliSchwartz/imagenet-sample-images",
)


class DataError(Exception):
    """The data are not where they were said to be, or not what they should be."""


def sample_pictures(folder: Path) -> Sequence[Path]:
    """The files of imagenet-sample-images; the position of each is its class.

    Raises:
        DataError: the folder does not hold exactly one picture a class.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
    if len(found) != SAMPLE_SIZE:
        raise DataError(
            f"{folder} holds {len(found)} JPEG files, not the {SAMPLE_SIZE} of {SAMPLE_NAME}; "
            f"clone {SAMPLE_SOURCE.url} and name that folder"
        )
    return found


def prepare(path: Path, geometry: InputGeometry) -> NDArray[np.uint8]:
    """A picture as the service would prepare it: ``uint8[height, width, 3]``."""
    picture = decode(path.read_bytes(), Limits(), partial(needed_size, geometry=geometry))
    return fit(picture, geometry)[0]
