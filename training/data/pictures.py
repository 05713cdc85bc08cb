"""Picture files, decoded and resized by the service's own path."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract import InputGeometry
from service.errors import SightlineError
from service.images import Limits, decode
from service.resize import fit, needed_size
from training.data.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Of the formats the service reads, in small letters."""

Report = Callable[[int, int], None]
"""Told how many pictures are done, and of how many."""

SMALLEST = InputGeometry(height=1, width=1, resize="squash")
"""As small as a JPEG can be decoded, which finds the same damage sooner."""

_CHUNK = 256


def prepare(path: Path, geometry: InputGeometry) -> NDArray[np.uint8]:
    """A picture as the service would prepare it: ``uint8[height, width, 3]``.

    Raises:
        DataError: the file cannot be read or is damaged; the message names it.
    """
    try:
        picture = decode(path.read_bytes(), Limits(), partial(needed_size, geometry=geometry))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except SightlineError as error:
        raise DataError(f"{path}: {error}") from error
    return fit(picture, geometry)[0]


class PictureFiles:
    """Picture files as ``Pictures`` for ``Labelled``, decoded whenever they are asked for."""

    def __init__(self, paths: Sequence[Path], geometry: InputGeometry) -> None:
        """Take files, of which none is read yet.

        Args:
            paths: of the files.
            geometry: the size of every picture and how it gets it.
        """
        self._paths = tuple(paths)
        self._geometry = geometry

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number, height, width and channels."""
        return len(self._paths), self._geometry.height, self._geometry.width, 3

    @property
    def bytes(self) -> int:
        """What all pictures take once they are decoded."""
        return math.prod(self.shape)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Decode the pictures at ``positions``, ``int64[B]``, to ``uint8[B, H, W, 3]``.

        Raises:
            DataError: a file cannot be read or is damaged; the message names it.
        """
        pictures = torch.empty((len(positions), *self.shape[1:]), dtype=torch.uint8)
        for picture, position in zip(pictures.numpy(), positions.tolist(), strict=True):
            picture[:] = prepare(self._paths[position], self._geometry)
        return pictures


def examine(
    paths: Sequence[Path],
    geometry: InputGeometry,
    pictures: NDArray[np.uint8] | None = None,
    report: Report | None = None,
) -> dict[int, str]:
    """Decode every file once, on all cores, to find those that cannot be.

    Args:
        paths: of the files.
        geometry: the size of every picture and how it gets it.
        pictures: ``uint8[N, height, width, 3]`` to keep the pictures in. ``None``: they are not
            kept, and JPEG files are decoded at an eighth of their size, which finds the same
            faults sooner.
        report: called now and then.

    Returns:
        For each file that is damaged its position in ``paths`` and the reason, with its name.
    """

    def attempt(position: int) -> str | None:
        try:
            if pictures is None:
                prepare(paths[position], SMALLEST)
            else:
                pictures[position] = prepare(paths[position], geometry)
        except DataError as error:
            return str(error)
        return None

    faults: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(paths)))
            found = zip(chunk, threads.map(attempt, chunk), strict=True)
            faults |= {position: fault for position, fault in found if fault is not None}
            if report:
                report(chunk.stop, len(paths))
    return faults
