"""Memory that nothing uses goes back to the system."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from fabricate import Tiny

from service.arena import configure
from service.device import CPU_PROVIDER
from service.memory import give_back


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
