"""Memory that nothing uses goes back to the system."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from fabricate import Tiny

from service.arena import configure
from service.device import CPU_PROVIDER
from service.memory import give_back

ROOT = Path(__file__).parents[2]


def resident_mib() -> float:
    """Of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_run_needed_is_not_held_for_the_next_one() -> None:
    configure(2048)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    graph = Tiny(size=1024).graph().SerializeToString()
    session = ort.InferenceSession(graph, options, providers=[CPU_PROVIDER])
    pictures = np.full((8, 1024, 1024, 3), 10, np.uint8)
    give_back()
    before = resident_mib()
    session.run(None, {"images": pictures})  # 96 MiB as float32
    del session
    assert resident_mib() > before + 64  # which the arena keeps, although no session is left
    give_back()
    assert resident_mib() < before + 16


HEAPS = """
import ctypes, sys, threading
from service.memory import keep_few_heaps

keep_few_heaps()
both = threading.Barrier(9)

def use() -> None:
    both.wait()
    kept = [bytes(1000) for _ in range(1000)]
    both.wait()

threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads:
    thread.start()
both.wait()
both.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library")
@pytest.mark.parametrize(("more", "most"), [({}, 2), ({"MALLOC_ARENA_MAX": "5"}, 5)])
def test_threads_share_two_heaps_or_as_many_as_the_environment_says(
    more: dict[str, str], most: int
) -> None:
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | more
    done = subprocess.run(
        [sys.executable, "-c", HEAPS], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("<heap nr=") == most
