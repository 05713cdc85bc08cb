"""The arena that all CPU runs of a process allocate from, and what a run takes of one.

``python -m service.arena FILE.onnx`` tells the bytes that a run takes, for inputs (``.npz``) on the
standard input. It imports as little as it can, since every start of the service waits for it.
"""

import io
import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

_MIB = 1 << 20
_UNBOUNDED_MIB = 1 << 20

_lock = threading.Lock()
_is_registered: list[bool] = []


def configure(cpu_arena_mib: int) -> None:
    """Set up the runtime once a process, before the first session.

    Args:
        cpu_arena_mib: the most memory all CPU runs together may hold; a run that would need
            more fails alone.
    """
    ort.disable_telemetry_events()
    ort.set_default_logger_severity(3)
    with _lock:
        if not _is_registered:
            info = ort.OrtMemoryInfo(
                "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
            )
            config = ort.OrtArenaCfg(
                {"max_mem": cpu_arena_mib * _MIB, "arena_extend_strategy": 1}  # 1: as requested
            )
            ort.create_and_register_allocator(info, config)
            _is_registered.append(True)


def held(path: Path, item: Mapping[str, NDArray[Any]]) -> int:
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
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, {name: array[np.newaxis] for name, array in item.items()})
        profile = json.loads(Path(session.end_profiling()).read_bytes())
    steps = [event["args"] for event in profile if "mem_arena_held" in event.get("args", {})]
    if not steps:
        raise ValueError("this ONNX Runtime's profiles do not tell of memory")
    before = int(steps[0]["mem_arena_held"]) - int(steps[0]["mem_arena_held_delta"])
    return max(int(step["mem_arena_held"]) for step in steps) - before


if __name__ == "__main__":
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as arrays:
        sys.stdout.write(str(held(Path(sys.argv[1]), dict(arrays))))
