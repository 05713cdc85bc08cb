"""How much memory a run takes for each byte that goes in, measured where the graph is to serve.

ONNX Runtime tells with every step of a profiled run what its arena holds. The run is one golden
item, made twice as long along the axes whose length the caller chooses; what stylizes or segments
takes memory in proportion to the pixels, so one size tells of the others. It takes place in a
process of its own: the arena of this one has room left by other runs, which would not be counted.
"""

import io
import logging
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np

from service.contract import Variant
from service.findings import Run
from service.session import Arrays

log = logging.getLogger(__name__)

#: Runs beside one another share an arena less well than runs one by one.
MARGIN = 1.1
_LONGER = 2
_TIMEOUT_S = 120


def sized(variant: Variant, item: Arrays) -> int:
    """Bytes of an item's inputs whose lengths the caller chooses."""
    return sum(item[spec.name].nbytes for spec in variant.inputs if spec.is_of_any_size)


def measure(
    path: Path, variant: Variant, item: Arrays, known: MutableMapping[Run, float]
) -> float | None:
    """Bytes of an arena that a run on a CPU takes for each byte of ``sized``, with a margin.

    Args:
        path: the ONNX file.
        variant: what the manifest says of it.
        item: inputs it takes, without the batch dimension.
        known: what was measured before; what is measured now is added.

    Returns:
        None if it cannot be told, for which the log has the reason.
    """
    longer = {spec.name: _longer(item[spec.name], spec.shape[1:]) for spec in variant.inputs}
    key = variant.sha256, tuple(array.shape for array in longer.values())
    if key not in known:
        taken = _in_a_process(path, longer)
        if taken is None:
            return None
        known[key] = MARGIN * taken / sized(variant, longer)
    return known[key]


def _in_a_process(path: Path, item: Arrays) -> int | None:
    """What ``service.arena.held`` gives, called by another process."""
    sent = io.BytesIO()
    np.savez(sent, allow_pickle=False, **item)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.arena", str(path)],
            input=sent.getvalue(),
            capture_output=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
        return int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error).encode()
        reason = told.decode("utf-8", "replace").strip().rpartition("\n")[2]
        log.warning("the memory that runs of %s take cannot be measured: %s", path, reason)
        return None


def _longer(array: np.ndarray[Any, Any], lengths: tuple[int | str, ...]) -> np.ndarray[Any, Any]:
    return np.tile(array, [_LONGER if isinstance(length, str) else 1 for length in lengths])
