"""Published weights as the start of a training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from training import files, weights
from training.conversions import State, read_torch
from training.nets.architecture import belongs
from training.nets.architectures import find as find_architecture
from training.published import describe
from training.weights import WeightsError

__all__ = ["Loaded", "WeightsError", "describe", "load_pretrained"]

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Loaded(files.Obtained):
    """What came of loading a file.

    Attributes:
        fresh: names of the parameters that kept the values the network was built with.
    """

    fresh: tuple[str, ...]


def load_pretrained(
    net: nn.Module,
    architecture: str,
    locator: str,
    downloads: Path | None = None,
    *,
    keep_head: bool = False,
) -> Loaded:
    """Fetch weights and load them into a network, all or nothing.

    Args:
        net: built from ``architecture``, with as many classes as the task has.
        architecture: its name.
        locator: of the weights, see ``training.published``.
        downloads: a folder that may hold the file or its package already.
        keep_head: load the head as well, for the classes the weights were trained on; otherwise
            the head keeps the values the network was built with.

    Raises:
        WeightsError: the weights are not of this network, or have no head to keep.
        ConversionError: the file is not what it should be.
        FileError: the file cannot be had, or has another hash than expected.
    """
    published = describe(locator, architecture)
    head = find_architecture(architecture).head
    if keep_head and published.lacks:
        raise WeightsError(f"{locator} holds no {', '.join(published.lacks)}, so no head to keep")
    obtained, state = _read(locator, downloads)
    absent = published.lacks if keep_head else (*published.lacks, *head)
    state = {name: tensor for name, tensor in state.items() if not belongs(name, absent)}
    wanted = net.state_dict()
    expected = {name for name in wanted if not belongs(name, absent)}
    # Older files have no such counter, and with a fixed momentum nothing reads it.
    counters = {name for name in expected - state.keys() if name.endswith(".num_batches_tracked")}
    _compare(state, {name: wanted[name] for name in expected - counters}, locator, architecture)
    net.load_state_dict(state, strict=False)
    return Loaded(
        obtained.path,
        obtained.sha256,
        obtained.first_use,
        fresh=tuple(name for name, _ in net.named_parameters() if name not in state),
    )


def _read(locator: str, downloads: Path | None) -> tuple[files.Obtained, State]:
    row = weights.TABLE.get(locator)
    if row is None:
        obtained = files.obtain(locator, downloads)
        return obtained, read_torch(obtained.path)
    path = weights.find(locator, downloads)
    return files.Obtained(path, row.sha256, first_use=False), row.read(path)


def _compare(state: State, wanted: State, locator: str, architecture: str) -> None:
    """Refuse weights with other names or shapes than the network's."""
    problems = []
    for problem, names in (
        ("missing", wanted.keys() - state.keys()),
        ("not in the network", state.keys() - wanted.keys()),
    ):
        if names:
            problems.append(f"{problem}: {_some(names)}")
    shapes = [
        f"{name} {tuple(state[name].shape)} in place of {tuple(wanted[name].shape)}"
        for name in wanted.keys() & state.keys()
        if state[name].shape != wanted[name].shape
    ]
    if shapes:
        problems.append(f"of another shape: {_some(shapes)}")
    if problems:
        raise WeightsError(
            f"{locator} does not fit this {architecture}; {'; '.join(problems)}. Is it of another "
            "architecture, or the network adapted to other channels, classes or small pictures?"
        )


def _some(names: Iterable[str]) -> str:
    """A few of the names, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
