"""How far a training is: a bar on a terminal, a line an epoch in a log."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """A context in which steps and epochs are reported on standard error."""

    def __init__(self, name: str, steps: int, *, shown: bool) -> None:
        """Report on the training ``name`` of so many ``steps``; if not ``shown``, say nothing."""
        self._name, self._steps, self._shown = name, steps, shown
        self._console = Console(stderr=True)
        self._began = time.perf_counter()
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task(name, total=steps, figures="")

    def step(self, step: int) -> None:
        """So many steps are done."""
        self._bar.update(self._task, completed=step)

    def figures(self, figures: Mapping[str, float]) -> None:
        """What the last steps came to."""
        self._bar.update(self._task, figures=_text(figures))

    def epoch(self, epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        """An epoch is done and measured."""
        if self._shown:
            seconds = time.perf_counter() - self._began
            self._console.print(
                f"{self._name}: epoch {epoch} of {epochs}, {_text(figures)}, {seconds:.0f} s",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def _text(figures: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in figures.items())
