"""Golden outputs: what a model gave when it was made, replayed where it is about to serve.

``golden.npz`` holds, for a small fixed batch, ``<role>.input.<tensor>`` and, for every precision,
``<role>.<precision>.<tensor>``. The deviation of a replay, as the model's task measures it, is held
against ``parity.tolerance``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import Precision, Variant
from service.errors import GraphError, InferenceError
from service.session import Arrays, Session

Golden = Mapping[str, NDArray[Any]]

Deviation = Callable[[Arrays, Arrays], float]
"""How far the outputs of one item stand from those expected: (actual, expected), names to arrays
without the batch dimension. A task has its own where slots of a tensor may trade places."""


def read_golden(path: Path) -> Golden:
    """Load every array of a golden file.

    Raises:
        GraphError: the file cannot be read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy and zipfile raise many kinds
        raise GraphError(f"{path}: cannot be read ({error})") from error


def items(golden: Golden, role: str, kind: str) -> list[Arrays]:
    """The arrays of one role, taken apart into batch items.

    Args:
        golden: the arrays of a golden file.
        role: the graph's role.
        kind: ``"input"``, or a precision for its outputs.

    Raises:
        GraphError: there are none, or their batch sizes differ.
    """
    prefix = f"{role}.{kind}."
    arrays = {name.removeprefix(prefix): a for name, a in golden.items() if name.startswith(prefix)}
    counts = {array.shape[:1] for array in arrays.values()}
    if len(counts) != 1 or counts <= {(), (0,)}:
        raise GraphError(f"golden: no arrays {prefix}*, empty ones, or of differing batch sizes")
    (count,) = counts.pop()
    return [{name: a[row, ...] for name, a in arrays.items()} for row in range(count)]


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """One golden item of one role, to be run again now and then.

    Attributes:
        inputs: tensor names to arrays without the batch dimension.
        outputs: the same of what is expected.
        tolerance: the largest deviation that is tolerated.
    """

    inputs: Arrays
    outputs: Arrays
    tolerance: float


def expectation(golden: Golden, role: str, precision: Precision, tolerance: float) -> Expectation:
    """The first golden item of a role; its arrays are copies, so that the rest can be forgotten.

    Raises:
        GraphError: as items.
    """
    inputs, outputs = (
        {name: array.copy() for name, array in items(golden, role, kind)[0].items()}
        for kind in ("input", precision)
    )
    return Expectation(inputs, outputs, tolerance)


def tensorwise(actual: Arrays, expected: Arrays) -> float:
    """The largest deviation of an expected output from the actual one of the same name."""
    return max(deviation(actual[name], expected[name]) for name in expected)


def deviation(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """How far two arrays stand apart.

    Returns:
        For floating-point arrays the largest absolute difference, for others the share of
        elements that differ; infinite for different shapes or a NaN on one side only.
    """
    if actual.shape != expected.shape:
        return float("inf")
    if not actual.size:
        return 0.0
    if not np.issubdtype(expected.dtype, np.floating):
        return float(np.mean(actual != expected))
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):  # infinity minus itself, which 'same' has covered
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    gap = np.where(same, 0.0, difference)
    return float("inf") if np.isnan(gap).any() else float(gap.max())


def replay(
    session: Session,
    variant: Variant,
    role: str,
    precision: Precision,
    golden: Golden,
    deviation: Deviation = tensorwise,
) -> float:
    """Run the golden inputs, in one batch and one by one, and compare.

    Args:
        session: the open variant.
        variant: what the manifest says of it.
        role: the graph's role.
        precision: the variant's.
        golden: the arrays of a golden file.
        deviation: how far an item's outputs stand apart, as the model's task measures it.

    Returns:
        The largest deviation seen.

    Raises:
        GraphError: it exceeds the variant's tolerance, an output is missing, or a run fails.
    """
    inputs, expected = items(golden, role, "input"), items(golden, role, precision)
    if len(inputs) != len(expected):
        raise GraphError(
            f"golden: {role}.input.* has {len(inputs)} items, {role}.{precision}.* {len(expected)}"
        )
    try:
        actual = [*session.run(inputs), *(session.run([one], lone=True)[0] for one in inputs)]
    except InferenceError as error:
        raise GraphError(f"graphs.{role}.{precision}: fails on the golden inputs") from error
    worst = 0.0
    for seen, wanted in zip(actual, [*expected, *expected], strict=True):
        if seen.keys() != wanted.keys():
            raise GraphError(f"graphs.{role}.{precision}: golden outputs are {sorted(wanted)}")
        worst = max(worst, deviation(seen, wanted))
    if worst > variant.parity.tolerance:
        raise GraphError(
            f"graphs.{role}.{precision}: golden outputs differ by {worst:.3g}, "
            f"more than parity.tolerance {variant.parity.tolerance:.3g}"
        )
    return worst
