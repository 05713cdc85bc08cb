"""Whether a graph computes what the PyTorch module computes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import onnxruntime as ort
import torch
from numpy.typing import NDArray

from service.golden import deviation
from service.session import Arrays, Session, split, stack
from training.exportable import Graph

BATCHES = (1, 2, 5)


class ParityError(Exception):
    """The exported graph does not compute what the module computes; nothing is written."""


def check_parity(graph: Graph, session: Session, what: str) -> float:
    """Compare a session with the module on every checked item, in batches of 1, 2 and 5.

    Args:
        graph: the module, the items and the tolerance.
        session: the float32 graph, opened as the service opens it.
        what: names the graph in the error.

    Returns:
        The largest deviation seen.

    Raises:
        ParityError: it exceeds the tolerance, or ``graph.same`` does not hold for an item.
    """
    worst = 0.0
    for batch in batches(graph.checked):
        expected = reference(graph, batch)
        for lone in (False, True):
            for wanted, seen in zip(expected, session.run(batch, lone=lone), strict=True):
                worst = max(worst, *(deviation(seen[name], wanted[name]) for name in wanted))
                if graph.same is not None and not graph.same(wanted, seen):
                    raise ParityError(f"{what}: the answer differs from PyTorch's, {worst:.3g} off")
        if worst > graph.tolerance:
            raise ParityError(
                f"{what}: {worst:.3g} from PyTorch in a batch of {len(batch)}, "
                f"more than the tolerance {graph.tolerance:.3g}"
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


def reference(graph: Graph, items: Sequence[Arrays]) -> list[Arrays]:
    """What the module gives for a batch, by output name and taken apart into items."""
    inputs = [torch.tensor(stack([item[name] for item in items])) for name in graph.example]
    with torch.inference_mode():
        outputs = graph.module.eval()(*inputs)
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    named = zip(graph.outputs, tensors, strict=True)
    return split({name: tensor.numpy() for name, tensor in named}, len(items))


def run_unfused(path: Path, items: Sequence[Arrays]) -> Mapping[str, NDArray[Any]]:
    """Run a graph node by node as it is written, none fused or replaced, on a batch."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feed = {name: stack([item[name] for item in items]) for name in items[0]}
    return dict(zip(names, session.run(names, feed), strict=True))
