"""Whether a graph computes what its reference computes, and how it rounds.

The reference is a function, so that a PyTorch module and a foreign file are compared alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from service.golden import Deviation, tensorwise
from service.session import Arrays, Session, stack

BATCHES = (1, 2, 5)

Reference = Callable[[Sequence[Arrays]], Sequence[Arrays]]
"""What a batch of items should give, one mapping of output name to array an item."""


class ParityError(Exception):
    """A graph does not compute what its reference computes; nothing is written."""


def check_parity(
    session: Session,
    items: Sequence[Arrays],
    reference: Reference,
    tolerance: float,
    what: str,
    *,
    than: str = "PyTorch",
    deviation: Deviation = tensorwise,
    same: Callable[[Arrays, Arrays], bool] | None = None,
) -> float:
    """Compare a session with a reference on every item, in batches of 1, 2 and 5.

    Args:
        session: the graph, opened as the service opens it.
        items: inputs by name, without the batch dimension.
        reference: gives the expected outputs.
        tolerance: the largest deviation allowed.
        what: names the graph in the error.
        than: names the reference in the error.
        deviation: how far an item's outputs stand apart, as the model's task measures it.
        same: a further condition every item must meet: (expected, actual).

    Returns:
        The largest deviation seen.

    Raises:
        ParityError: it exceeds the tolerance, or ``same`` does not hold for an item.
    """
    worst = 0.0
    for batch in batches(items):
        expected = reference(batch)
        for lone in (False, True):
            for wanted, seen in zip(expected, session.run(batch, lone=lone), strict=True):
                worst = max(worst, deviation(seen, wanted))
                if same is not None and not same(wanted, seen):
                    raise ParityError(f"{what}: the answer differs from {than}'s, {worst:.3g} off")
        if worst > tolerance:
            raise ParityError(
                f"{what}: {worst:.3g} from {than} in a batch of {len(batch)}, "
                f"more than the tolerance {tolerance:.3g}"
            )
    return worst


def batches(items: Sequence[Arrays]) -> Iterator[Sequence[Arrays]]:
    """All items in order, in batches of 1, 2, 5, 1, 2, 5, ...; the last may be smaller."""
    start = 0
    for size in cycle(BATCHES):
        if start >= len(items):
            return
        yield items[start : start + size]
        start += size


def run_unfused(path: Path, items: Sequence[Arrays]) -> Mapping[str, NDArray[Any]]:
    """Run a graph node by node as it is written, none fused or replaced, on a batch."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feed = {name: stack([item[name] for item in items]) for name in items[0]}
    return dict(zip(names, session.run(names, feed), strict=True))
