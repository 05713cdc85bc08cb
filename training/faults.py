"""What is wrong with annotations and pictures, told and written down."""

from collections.abc import Callable, Sequence
from pathlib import Path

from training.run import write_whole

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


def write(faults: Sequence[str], path: Path) -> None:
    """Write them all, one a line, whole or not at all; a file of others before them goes."""
    if not faults:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(f"{line}\n" for line in faults))
