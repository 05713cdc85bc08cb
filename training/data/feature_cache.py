"""What a frozen backbone makes of pictures, computed once and kept on disk.

Each picture is seen in several views, for a network that learns from features alone would otherwise
see the same ones again and again: as it is, mirrored, and in random crops.
"""

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract import InputGeometry
from training.data.errors import DataError
from training.data.feature_file import Rows, locked
from training.data.pictures import Report
from training.data.views import view

Net = Callable[[Tensor], Tensor]
"""Pictures ``uint8[N, H, W, 3]`` to features ``float[N, P, D]`` at ``P`` places."""

#: Part of every key: another number where the same views become other pixels.
_VERSION = 1


def key_of(
    backbone: str, sha256: str, geometry: InputGeometry, views: int, paths: Sequence[Path]
) -> str:
    """A name for the features of files: another one if anything differs that they depend on.

    Args:
        backbone: its name, and whatever else tells what it computes.
        sha256: of its weights.
        geometry: how pictures become its input.
        views: of each picture.
        paths: of the files, whose names, sizes and times of change count.

    Raises:
        DataError: a file is missing.
    """
    digest = hashlib.sha256()
    for part in (_VERSION, backbone, sha256, geometry.model_dump_json(), views):
        digest.update(f"{part}\n".encode())
    for path in paths:
        try:
            found = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path.name}\n{found.st_size}\n{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def compute(
    net: Net,
    paths: Sequence[Path],
    geometry: InputGeometry,
    views: int,
    folder: Path,
    key: str,
    report: Report | None = None,
    *,
    batch: int = 16,
    threads: int | None = None,
) -> NDArray[np.float16]:
    """The features of pictures, computed unless the folder holds them.

    What is interrupted goes on where it was. While it goes on the file is called ``<key>.part``,
    and ``<key>.json`` beside it says how much is safe; only what is whole is called ``<key>.npy``.

    Args:
        net: the backbone; its parameters need no gradients, its input lies on the CPU.
        paths: of the pictures, one at least; ``sound`` has left out those that are damaged.
        geometry: how they become the backbone's input, as in a manifest.
        views: of each picture, 1 at least, see ``view``.
        folder: that holds the features, made if it is missing.
        key: of ``key_of``.
        report: told how many views are done, and of how many.
        batch: views that the backbone is given at once.
        threads: that decode; as many as there are cores if left out.

    Returns:
        ``float16[pictures, views, P, D]``, read from the file as needed; not to be written to.

    Raises:
        DataError: a picture cannot be read, the disk has no room for the features, they are not
            finite or no ``float16``, or another process computes them.
        ValueError: there are no pictures or views.
    """
    if not paths or views < 1:
        raise ValueError(f"there are {len(paths)} pictures with {views} views")
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"{key}.npy"
    if not whole.exists():
        with locked(folder / f"{key}.part") as file:
            if not whole.exists():  # another process may just have finished it
                rows = Rows(file, folder / f"{key}.json", (len(paths), views))
                _fill(rows, net, paths, geometry, report, batch, threads)
                (folder / f"{key}.part").replace(whole)
                (folder / f"{key}.json").unlink(missing_ok=True)
    features: NDArray[np.float16] = np.load(whole, mmap_mode="r")
    if features.shape[:2] != (len(paths), views):
        raise DataError(f"{whole}: is not of {len(paths)} pictures in {views} views; remove it")
    return features


def _fill(
    rows: Rows,
    net: Net,
    paths: Sequence[Path],
    geometry: InputGeometry,
    report: Report | None,
    batch: int,
    threads: int | None,
) -> None:
    """Compute the rows that are missing."""
    views = rows.count[1]

    def prepared(row: int) -> NDArray[np.uint8]:
        return view(paths[row // views], geometry, row % views, seed=row // views)

    try:
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool, torch.inference_mode():
            try:
                for pictures in _batches(pool, prepared, range(rows.done, rows.total), batch):
                    features = net(torch.from_numpy(np.stack(pictures))).float().cpu().numpy()
                    rows.add(_small(features))
                    if report:
                        report(rows.done, rows.total)
            finally:
                if rows.done:
                    rows.save()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DataError(
            f"{rows.progress.parent} has no room left for features; make some, and go on"
        ) from error


def _batches(
    pool: ThreadPoolExecutor,
    prepared: Callable[[int], NDArray[np.uint8]],
    rows: range,
    batch: int,
) -> Iterator[list[NDArray[np.uint8]]]:
    """Pictures in batches; the next one is decoded while one is computed with."""
    waiting: deque[list[Future[NDArray[np.uint8]]]] = deque()
    try:
        for start in range(rows.start, rows.stop, batch):
            chosen = range(start, min(start + batch, rows.stop))
            waiting.append([pool.submit(prepared, row) for row in chosen])
            if len(waiting) > 1:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        for futures in waiting:
            for future in futures:
                future.cancel()


def _small(features: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        small = features.astype(np.float16)
    if features.ndim != 3 or not np.isfinite(small).all():
        raise DataError(
            f"the backbone gives {features.ndim} axes and values up to {np.abs(features).max():g}; "
            "features must have three, N, P and D, and values that float16 can hold, up to 65504"
        )
    return small
