"""The folder of one training run: settings, history, checkpoints and what to look at.

``config.json``, ``history.jsonl`` (one line a measurement), ``curves.png``, TensorBoard's event
files, ``last.ckpt`` to go on from and ``best.ckpt`` to export. Every file but the event files is
replaced whole, or appended to by whole lines.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard.writer import SummaryWriter

from training.curves import plot

_HISTORY, _CONFIG, _CURVES = "history.jsonl", "config.json", "curves.png"
#: Drawing takes part of a second, which is much beside the epochs of a small training.
_SECONDS_BETWEEN_DRAWINGS = 10.0


class RunError(Exception):
    """The folder cannot take this run; the message says what to do."""


class Run:
    """Writes a run's folder; where ``writes`` is false, as in a second process, nothing.

    A context, at the end of which the curves are as new as the history.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self.last = folder / "last.ckpt"
        self.best = folder / "best.ckpt"
        self._writes = writes
        self._board: SummaryWriter | None = None
        self._drawn = time.perf_counter()

    @property
    def is_begun(self) -> bool:
        """Whether the folder holds a checkpoint of an earlier run."""
        return self.last.exists()

    def begin(self, config: Mapping[str, Any], *, resume: bool) -> None:
        """Make the folder for a new run, or ready to go on.

        Raises:
            RunError: it holds a run and ``resume`` is false, or one with other settings.
        """
        before = self._config_before() if self.is_begun else None
        if before is not None and not resume:
            raise RunError(
                f"{self.folder} holds a run already: go on with it with --resume, name another "
                "folder with --run, or remove it"
            )
        if before is not None and (changed := _changed(before, config)):
            raise RunError(
                f"{self.folder} was begun with other settings and cannot go on: {changed}"
            )
        if not self._writes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.last, self.best):  # what a kill left half written
            for left in self.folder.glob(f".{path.stem}.*{path.suffix}"):
                left.unlink(missing_ok=True)
        if before is None:  # what a run left that never reached a checkpoint
            events = self.folder.glob("events.out.tfevents.*")
            for path in (self.folder / _HISTORY, self.folder / _CURVES, self.best, *events):
                path.unlink(missing_ok=True)
            write_whole(self.folder / _CONFIG, json.dumps(dict(config), indent=2) + "\n")

    def rewind(self, step: int) -> None:
        """Forget what was written of later steps than ``step``."""
        if self._writes and (self.folder / _HISTORY).exists():
            kept = [json.dumps(line) for line in self.history() if line["step"] <= step]
            write_whole(self.folder / _HISTORY, "".join(f"{line}\n" for line in kept))

    def record(self, step: int, epoch: int, split: str, figures: Mapping[str, float]) -> None:
        """Append one line to the history, and the same to TensorBoard.

        Args:
            step: steps taken.
            epoch: counted from 1.
            split: what was measured on, such as ``train``.
            figures: those that are not finite are null in the history, as JSON has no NaN.
        """
        if not self._writes:
            return
        plain = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        line = {"step": step, "epoch": epoch, "split": split, **plain}
        with (self.folder / _HISTORY).open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is None:
            self._board = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in figures.items():
            self._board.add_scalar(f"{split}/{name}", value, step)
        self._board.flush()  # a kill loses nothing

    def history(self) -> list[dict[str, Any]]:
        """All lines of the history; one cut short by a kill is left out."""
        path = self.folder / _HISTORY
        if not path.exists():
            return []
        return list(_whole_lines(path.read_text()))

    def draw(self) -> None:
        """Draw the learning curves anew, unless they have been just now."""
        if time.perf_counter() - self._drawn > _SECONDS_BETWEEN_DRAWINGS:
            self._draw()

    def _draw(self) -> None:
        if self._writes and (history := self.history()):
            with replacing(self.folder / _CURVES) as temporary:
                plot(history, temporary, self.folder.name)
        self._drawn = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw()
        if self._board is not None:
            self._board.close()

    def _config_before(self) -> Mapping[str, Any]:
        try:
            config: Mapping[str, Any] = json.loads((self.folder / _CONFIG).read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.folder / _CONFIG} cannot be read: {error}") from error
        return config


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; what is written takes the place of ``path`` if nothing goes wrong."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        if temporary.exists():
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def _whole_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = dict(_flat(before)), dict(_flat(json.loads(json.dumps(dict(now)))))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} was {old.get(name)}, is {new.get(name)}" for name in names)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings within settings, named as on the command line."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
