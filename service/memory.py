"""Memory that nothing uses any more, not kept or given back to the system.

What a model held is free once its sessions are gone, but free is not given back: the runtime's
arena keeps its regions for the next run, and the C library its heap. Measured with the models of
this repository, that is most of what a model takes (docs/decisions/0018).
"""

import contextlib
import ctypes
import gc
import os

import numpy as np
import onnxruntime as ort

from service.device import CPU_PROVIDER, PROBE_GRAPH

_M_ARENA_MAX = -8


def keep_few_heaps() -> None:
    """Let this process's threads share two heaps; to be called before there are threads.

    GNU's C library would give every thread one of its own, up to eight a CPU. Pictures and answers
    pass from thread to thread, so each of these heaps grows to the most that was ever in it and
    keeps it: with the models of this repository a third of the memory, and minutes until it stays
    where it is (docs/benchmarks.md). ``MALLOC_ARENA_MAX`` in the environment says it otherwise.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # a C library other than GNU's
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Empty what the arena and the heap hold in store; runs under way are not disturbed.

    Takes some hundredths of a second, and the runs that come next get their memory anew.
    """
    gc.collect()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    probe = ort.InferenceSession(PROBE_GRAPH, options, providers=[CPU_PROVIDER])
    how = ort.RunOptions()
    shrink_after(how)
    probe.run(None, {"x": np.ones(1, np.float32)}, how)
    del probe
    with contextlib.suppress(OSError, AttributeError):  # a C library other than GNU's
        ctypes.CDLL(None).malloc_trim(0)


def shrink_after(options: ort.RunOptions) -> None:
    """Let a run leave no memory in the arena that nothing uses.

    The arena keeps what a run needed for the next one. Where every run is of another size, what is
    kept fits none of them, and in time the arena is full of it. After a run that got too little,
    giving back what is kept helps the next one.
    """
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
