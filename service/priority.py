"""Compute threads step back for the event loop."""

import contextlib
import os
import threading

_NICE = 5


def step_back() -> None:
    """Lower the calling thread's priority, so that the event loop gets a CPU when it wants one.

    Under load every CPU runs a model or decodes a picture; the event loop, which needs a CPU for
    microseconds, would otherwise wait its turn behind them, and with it every refusal and health
    check. On Linux a niceness belongs to a thread; elsewhere nothing is changed.
    """
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
