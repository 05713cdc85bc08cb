"""A worker's process as the supervisor sees it."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence

from service.channel import Assignment, Channel, Done, Order
from service.group import Change

COMMAND = (sys.executable, "-m", "service.worker")


class WorkerProcess:
    """One process, from its start to its end.

    Attributes:
        number: of the worker; the process that takes its place has the same. A spare one has one of
            its own until it takes a place.
        channel: to it.
        is_early: it accepts connections while its models load.
        is_loaded: its models are loaded.
        is_accepting: it accepts connections.
        has_spoken: it has said something.
        heard_at: when it last said something, or began.
        began_at: when it began.
        gone_at: when the process was gone whose place it takes; None if it takes nobody's.
        listening: takes what it says until it is gone.
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
        self.listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._orders: dict[int, asyncio.Future[Done]] = {}
        self._number = 0
        self._ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        listener: socket.socket,
        number: int,
        assignment: Assignment,
    ) -> "WorkerProcess":
        """Start a process and tell it what it is to be.

        Args:
            command: to run, with the numbers of two sockets added.
            listener: it accepts connections from.
            number: of the worker.
            assignment: what it is to be.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = listener.fileno(), theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                *command, *map(str, inherited), pass_fds=inherited, stdin=asyncio.subprocess.DEVNULL
            )
        channel = await Channel.over(ours)
        channel.send(assignment)
        return cls(process, channel, number, is_early=assignment.is_early)

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def has_ended(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` for its end; whether it came."""
        await asyncio.wait({self._ended}, timeout=timeout_s)
        return self._ended.done()

    async def carry_out(self, change: Change) -> Done | None:
        """Let it make a change; None if it ends before it has done so."""
        self._number += 1
        number, done = self._number, asyncio.get_running_loop().create_future()
        self._orders[number] = done
        self.channel.send(Order(number, change))
        await asyncio.wait({done, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        del self._orders[number]
        return done.result() if done.done() else None

    def hear(self, done: Done) -> None:
        """Take its answer to an order."""
        if (order := self._orders.get(done.number)) is not None:
            order.set_result(done)

    def signal(self, signum: int) -> None:
        """Send a signal; harmless if the process is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signum)
