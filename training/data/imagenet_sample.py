"""One picture of each of ImageNet's classes, to measure published classifiers on."""

from collections.abc import Sequence
from pathlib import Path

from service.contract import DataSource
from training.data.errors import DataError

NAME = "imagenet-sample-images"
SIZE = 1000
SOURCE = DataSource(
    name=f"{NAME} (1000 pictures, one a class), to measure",
    licence="ImageNet's terms: non-commercial research; not distributed with the model",
    url="https://github.com/EliSchwartz/imagenet-sample-images",
)


def sample_pictures(folder: Path) -> Sequence[Path]:
    """The files of imagenet-sample-images; the position of each is its class.

    Raises:
        DataError: the folder does not hold exactly one picture a class.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
    if len(found) != SIZE:
        raise DataError(
            f"{folder} holds {len(found)} JPEG files, not the {SIZE} of {NAME}; "
            f"clone {SOURCE.url} and name that folder"
        )
    return found
