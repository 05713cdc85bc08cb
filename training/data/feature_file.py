"""A file of features that grows row by row and survives interruptions."""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.errors import DataError
from training.run import write_whole

#: Rows after which what is written is made sure of.
_BLOCK = 256
_MIB = 1 << 20


@dataclass
class Rows:
    """A file of features, a row a view, that is written from its beginning to its end.

    What an earlier process left is gone on with as far as it was made sure of.

    Attributes:
        file: opened by ``locked``.
        progress: the path of what says how many rows are safe.
        count: of pictures and of views.
        done: rows that are there.
    """

    file: FileIO
    progress: Path
    count: tuple[int, int]
    done: int = field(init=False)
    _shape: tuple[int, ...] = field(init=False)
    _saved: int = field(init=False)

    def __post_init__(self) -> None:
        self.done, self._shape = 0, ()
        size = self.file.seek(0, os.SEEK_END)
        try:
            told = json.loads(self.progress.read_text())
            done, shape = int(told["rows"]), tuple(int(length) for length in told["shape"])
        except (OSError, ValueError, TypeError, KeyError):
            done, shape = 0, ()
        end = self._end(done, shape) if done else 0
        if 0 < end <= size:
            self.done, self._shape = done, shape
        self.file.truncate(end if self.done else 0)
        self._saved = self.done

    @property
    def total(self) -> int:
        """Rows there will be."""
        return self.count[0] * self.count[1]

    def add(self, features: NDArray[np.float16]) -> None:
        """Append rows ``float16[N, P, D]``.

        Raises:
            DataError: the disk has no room for all, or the rows before are of another shape.
            OSError: they cannot be written.
        """
        shape = features.shape[1:]
        if not self._shape:
            self._make_room(shape)
            self._write(_header((*self.count, *shape)))
            self._shape = shape
        if shape != self._shape:
            raise DataError(
                f"{self.file.name}: has features of the shape {self._shape}, not {shape} as the "
                "network gives; remove it"
            )
        self._write(features.tobytes())
        self.done += len(features)
        if self.done - self._saved >= _BLOCK:
            self.save()

    def save(self) -> None:
        """Make sure of what is there."""
        os.fsync(self.file.fileno())
        write_whole(self.progress, json.dumps({"rows": self.done, "shape": self._shape}))
        self._saved = self.done

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[self.file.write(rest) :]

    def _make_room(self, shape: tuple[int, ...]) -> None:
        needed = self._end(self.total, shape)
        free = shutil.disk_usage(self.progress.parent).free
        if needed > free:
            raise DataError(
                f"{self.progress.parent} has room for {free // _MIB} MiB, but the features take "
                f"{-(-needed // _MIB)} MiB: make room, name another folder, or take fewer views"
            )

    def _end(self, rows: int, shape: tuple[int, ...]) -> int:
        """Bytes up to the end of so many rows."""
        each = int(np.prod(shape)) * np.dtype(np.float16).itemsize
        return len(_header((*self.count, *shape))) + rows * each


@contextmanager
def locked(path: Path) -> Iterator[FileIO]:
    """A file opened to be read and appended to, that no other process has open so.

    Raises:
        DataError: another process has.
    """
    with path.open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"{path}: another process is computing these features") from error
        yield file


def _header(shape: tuple[int, ...]) -> bytes:
    """Of an .npy file of ``float16``."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()
