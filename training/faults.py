"""What is wrong with annotations and pictures, told and written down."""

from collections.abc import Callable, Sequence
from pathlib import Path

from training.run import Run, write_whole

FILE = "faults.txt"
"""In a run's folder."""

_SHOWN = 20


def tell(faults: Sequence[str], report: Callable[[str], None], path: Path | None = None) -> None:
    """Show the first faults, and say how many more there are.

    Args:
        faults: a line for each.
        report: told of them.
        path: of the file that holds them all, if there is one.
    """
    for line in faults[:_SHOWN]:
        report(line)
    if len(faults) > _SHOWN:
        where = f"; all are in {path}" if path else ""
        report(f"and {len(faults) - _SHOWN} more objects or pictures like these{where}")


def keep(
    faults: Sequence[str], run: Run, report: Callable[[str], None], *, resume: bool, is_first: bool
) -> None:
    """Tell a run's faults, and write them into its folder unless another run is in it.

    Args:
        faults: a line for each.
        run: whose they are.
        report: told of the first.
        resume: whether what is in the folder is the run's own.
        is_first: whether this process writes.
    """
    is_free = resume or not run.is_begun
    path = run.folder / FILE
    if is_first and is_free:
        write(faults, path)
    tell(faults, report, path if is_free else None)


def write(faults: Sequence[str], path: Path) -> None:
    """Write them all, one a line, whole or not at all; a file of others before them goes."""
    if not faults:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(f"{line}\n" for line in faults))
