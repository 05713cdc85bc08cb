"""A worker's process as the supervisor sees it."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence

from service.channel import Assignment, Channel
from service.settings import Settings

COMMAND = (sys.executable, "-m", "service.worker")


class WorkerProcess:
    """One process, from its start to its end.

    Attributes:
        number: of the worker; the process that takes its place has the same.
        channel: to it.
        is_early: it accepts connections while its models load.
        is_loaded: its models are loaded.
        is_accepting: it accepts connections.
        has_spoken: it has said something.
        heard_at: when it last said something, or began.
        began_at: when it began.
        gone_at: when the process was gone whose place it takes; None if it takes nobody's.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, channel: Channel, number: int, *, is_early: bool
    ) -> None:
        """See start."""
        self._process, self.channel = process, channel
        self.number, self.is_early = number, is_early
        self.is_loaded = self.is_accepting = self.has_spoken = False
        self.heard_at = self.began_at = time.monotonic()
        self.gone_at: float | None = None
        self._ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        listener: socket.socket,
        settings: Settings,
        number: int,
        *,
        is_early: bool,
    ) -> "WorkerProcess":
        """Start a process and tell it what it is to be.

        Args:
            command: to run, with the numbers of two sockets added.
            listener: it accepts connections from.
            settings: of the worker.
            number: of the worker.
            is_early: whether it accepts connections while its models load.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = listener.fileno(), theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                *command, *map(str, inherited), pass_fds=inherited, stdin=asyncio.subprocess.DEVNULL
            )
        channel = await Channel.over(ours)
        channel.send(Assignment(settings, number, is_early))
        return cls(process, channel, number, is_early=is_early)

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def has_ended(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` for its end; whether it came."""
        await asyncio.wait({self._ended}, timeout=timeout_s)
        return self._ended.done()

    def signal(self, signum: int) -> None:
        """Send a signal; harmless if the process is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signum)
