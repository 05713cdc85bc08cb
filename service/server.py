"""Serving the application over HTTP in this process, until a signal; bounded at the end, too."""

import contextlib
import functools
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.connection import TOLD
from service.group import Alone, Group
from service.memory import keep_few_heaps
from service.protocol import BoundedProtocol
from service.settings import Settings

log = logging.getLogger(__name__)

#: What a process opens beside its connections: libraries, models while they load, pipes.
_OTHER_FILES = 512
_LAST_S = 1.0


def serve(
    settings: Settings,
    group: Group | None = None,
    sockets: Sequence[socket.socket] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight.

    Args:
        settings: of this process.
        group: the processes it serves with; it is alone if None.
        sockets: to accept connections from; bound as the settings say if None.

    Returns:
        The exit status.

    Raises:
        SystemExit: after a signal; its code is the exit status.
        DeviceError: the requested device does not run.
    """
    keep_few_heaps()
    group = group or Alone()
    for signum in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has drained; that must be a clean exit.
        signal.signal(signum, lambda *_: sys.exit(group.status))
    allow_files(settings.max_connections + TOLD + _OTHER_FILES)
    server = _Server(config(create_app(settings, group), settings), group)
    try:
        server.run(None if sockets is None else list(sockets))
    finally:
        _leave_what_does_not_end(group.status)
    return group.status


class _Server(uvicorn.Server):
    """Tells the group when it is told to end."""

    def __init__(self, config: uvicorn.Config, group: Group) -> None:
        super().__init__(config)
        self._group = group

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._group.stop()


def config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    protocol = functools.partial(
        BoundedProtocol,
        max_head_bytes=settings.max_head_kib << 10,
        head_timeout_s=settings.head_timeout_s,
        patience_s=settings.body_timeout_s,
    )
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=protocol,  # type: ignore[arg-type]  # it calls whatever makes a protocol
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        backlog=backlog(settings),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
    )


def backlog(settings: Settings) -> int:
    """Connections that may wait to be accepted."""
    return max(2048, settings.max_connections)


def allow_files(count: int) -> None:
    """Raise this process's soft limit of open files to ``count``, where the hard one allows it.

    Past the limit nobody could connect, however idle the connections are that hold it.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _leave_what_does_not_end(status: int) -> None:
    """End the process even though a thread of it is in a call that does not return.

    Python would wait for such threads, or take the runtime down under them.
    """
    end = time.monotonic() + _LAST_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and _computes(thread):
            thread.join(max(0.0, end - time.monotonic()))
    left = [each.name for each in threading.enumerate() if each.is_alive() and _computes(each)]
    if left:
        log.warning("leaving threads that do not end: %s", ", ".join(left))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status)


def _computes(thread: threading.Thread) -> bool:
    """Whether a thread may be in a run, in the decoding of a picture or in a model's loading."""
    return thread is not threading.main_thread() and (
        not thread.daemon
        or "-slot-" in thread.name
        or thread.name.endswith("-recovery")
        or thread.name.startswith("model-")
    )
