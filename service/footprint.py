"""How much memory a run takes for each byte that goes in, measured where the graph is to serve.

ONNX Runtime tells with every step of a profiled run what its arena holds. The run is one golden
item, made twice as long along the axes whose length the caller chooses; what stylizes or segments
takes memory in proportion to the pixels, so one size tells of the others. It takes place in a
process of its own: the arena of this one has room left by other runs, which would not be counted.
"""

import io
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from service.contract import Variant
from service.device import CPU_PROVIDER
from service.session import Arrays, configure, stack

log = logging.getLogger(__name__)

#: Runs beside one another share an arena less well than runs one by one.
MARGIN = 1.1
_LONGER = 2
#: What was measured, by the file's hash and the shapes that went in: models are loaded again.
_known: dict[tuple[str, tuple[tuple[int, ...], ...]], float] = {}
_TIMEOUT_S = 120
_UNBOUNDED_MIB = 1 << 20


def sized(variant: Variant, item: Arrays) -> int:
    """Bytes of an item's inputs whose lengths the caller chooses."""
    return sum(item[spec.name].nbytes for spec in variant.inputs if spec.is_of_any_size)


def measure(path: Path, variant: Variant, item: Arrays) -> float | None:
    """Bytes of an arena that a run on a CPU takes for each byte of ``sized``, with a margin.

    Args:
        path: the ONNX file.
        variant: what the manifest says of it.
        item: inputs it takes, without the batch dimension.

    Returns:
        None if it cannot be told, for which the log has the reason.
    """
    longer = {spec.name: _longer(item[spec.name], spec.shape[1:]) for spec in variant.inputs}
    key = variant.sha256, tuple(array.shape for array in longer.values())
    if key not in _known:
        taken = _in_a_process(path, longer)
        if taken is None:
            return None
        _known[key] = MARGIN * taken / sized(variant, longer)
    return _known[key]


def _in_a_process(path: Path, item: Arrays) -> int | None:
    """What ``held`` gives, called by another process."""
    sent = io.BytesIO()
    np.savez(sent, allow_pickle=False, **item)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.footprint", str(path)],
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


def held(path: Path, item: Arrays) -> int:
    """Bytes that an arena of the service's kind, but without a bound, grows by in a run.

    Args:
        path: the ONNX file.
        item: inputs it takes, without the batch dimension.

    Raises:
        ValueError: the profile does not tell of memory.
    """
    configure(_UNBOUNDED_MIB)
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        session = ort.InferenceSession(str(path), options, providers=[CPU_PROVIDER])
        session.run(None, {name: stack([array]) for name, array in item.items()})
        profile = json.loads(Path(session.end_profiling()).read_bytes())
    steps = [event["args"] for event in profile if "mem_arena_held" in event.get("args", {})]
    if not steps:
        raise ValueError("this ONNX Runtime's profiles do not tell of memory")
    before = int(steps[0]["mem_arena_held"]) - int(steps[0]["mem_arena_held_delta"])
    return max(int(step["mem_arena_held"]) for step in steps) - before


if __name__ == "__main__":
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as arrays:
        sys.stdout.write(str(held(Path(sys.argv[1]), dict(arrays))))
