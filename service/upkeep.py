"""Runs a model's graphs, tells bad input from a broken session, and opens broken ones again."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from service.errors import (
    DeviceLostError,
    InferenceError,
    LateError,
    OutOfMemoryError,
    RecoveringError,
)
from service.session import Arrays, Endable
from service.variant import Sessions

log = logging.getLogger(__name__)

#: Runs in a row without the memory they need, after which the sessions are put to the test.
_SHORT_IN_A_ROW = 3
#: A test that was passed says for so long that failures are the input's fault: bad pictures must
#: not double the work.
_TRUSTED_S = 1.0
#: Failed attempts to open sessions again after which only a new process may help.
_ATTEMPTS = 3
_LONGEST_PAUSE_S = 60.0


class Record(Protocol):
    """Where faults and recoveries are noted."""

    def fault(self, kind: str) -> None:
        """Note a failed run: ``input``, ``memory``, ``session``, ``device`` or ``hung``."""
        ...

    def recovered(self, seconds: float) -> None:
        """Note that broken sessions were replaced, so many seconds after they were found broken."""
        ...


class Upkeep:
    """Stands between a model's batcher and its sessions.

    A run that fails alone is followed by a canary, a run known to work. If that fails too the
    sessions are broken: they are opened again in a thread of their own, and until that is done the
    model answers 503. The other models have sessions of their own and notice nothing.
    """

    def __init__(
        self,
        name: str,
        sessions: Sessions,
        *,
        reopen: Callable[[], Sessions],
        canary: Callable[[Sessions], object],
        record: Record,
        give_up: Callable[[str], None],
        is_restarted: bool = False,
        recovery_s: float = 1.0,
    ) -> None:
        """Trust the sessions.

        Args:
            name: of the model.
            sessions: by role; replaced in place.
            reopen: opens every role again; raises GraphError.
            canary: runs what is known to work; raises GraphError if it does not.
            record: of faults.
            give_up: ends the process, whose device or slot is lost; told why.
            is_restarted: whether a new process takes this one's place at once, so that it is worth
                ending where a single model cannot be helped.
            recovery_s: how long opening the sessions should take, for ``Retry-After``.
        """
        self.name, self.sessions = name, sessions
        self._reopen, self._canary, self._record = reopen, canary, record
        self._give_up, self._is_restarted = give_up, is_restarted
        self._retry_after_s = max(1, math.ceil(recovery_s))
        self._lock = threading.Lock()
        self._broken_since: float | None = None
        self._closed = threading.Event()
        self._passed_at = -math.inf
        self._short_in_a_row = 0
        self._began: dict[int, float] = {}

    @property
    def is_recovering(self) -> bool:
        """Whether the sessions are being opened again."""
        return self._broken_since is not None

    def check(self) -> None:
        """Raise RecoveringError while the sessions are being opened again."""
        if self._broken_since is not None:
            raise RecoveringError(
                f"model {self.name!r} is recovering from a fault", self._retry_after_s
            )

    def run(self, role: str, batch: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        """Run one batch of one role; see Session.run.

        Raises:
            RecoveringError: the sessions are being opened again.
        """
        self.check()
        me = threading.get_ident()
        self._began[me] = time.monotonic()
        try:
            outputs = self.sessions[role].run(batch, lone=lone)
        except (InferenceError, LateError) as error:
            del self._began[me]  # before the canary, which is not this run
            self._failed(error, is_alone=len(batch) == 1)
            raise
        finally:
            self._began.pop(me, None)
        self._short_in_a_row = 0
        return outputs

    def oldest_s(self) -> float:
        """How long the oldest run under way has taken so far, in seconds; 0 without one."""
        now = time.monotonic()
        return max((now - began for began in list(self._began.values())), default=0.0)

    def end(self, older_than_s: float = 0.0) -> int:
        """Tell runs under way to end at the next node of their graph; how many were told."""
        sessions = list(self.sessions.values())
        return sum(s.end(older_than_s) for s in sessions if isinstance(s, Endable))

    def close(self) -> None:
        """Try no more to open broken sessions."""
        self._closed.set()

    def _failed(self, error: InferenceError | LateError, *, is_alone: bool) -> None:
        """Find out what a failure means; raises RecoveringError if the sessions are broken."""
        if isinstance(error, DeviceLostError):
            self._record.fault("device")
            self._give_up(f"the device failed in a run of model {self.name!r}")
            return
        if not is_alone:
            return  # its halves will tell
        if isinstance(error, LateError):
            self._record.fault("hung")
            return
        if isinstance(error, OutOfMemoryError):
            self._record.fault("memory")
            self._short_in_a_row += 1
            if self._short_in_a_row < _SHORT_IN_A_ROW:
                return
            self._short_in_a_row = 0
        if self._are_broken():
            self.check()
        if not isinstance(error, OutOfMemoryError):
            self._record.fault("input")

    def _are_broken(self) -> bool:
        with self._lock:  # one slot finds out for all
            if self._broken_since is not None:
                return True
            if time.monotonic() - self._passed_at < _TRUSTED_S:
                return False
            try:
                self._canary(self.sessions)
            except Exception as error:
                log.error("the sessions of model %r are broken: %s", self.name, error)
                self._record.fault("session")
                self._broken_since = time.monotonic()
                threading.Thread(
                    target=self._recover, name=f"{self.name}-recovery", daemon=True
                ).start()
                return True
            self._passed_at = time.monotonic()
            return False

    def _recover(self) -> None:
        assert self._broken_since is not None
        attempt = 0
        while not self._closed.is_set():
            opened: Sessions | None = None
            try:
                opened = self._reopen()
                self._canary(opened)
            except Exception as error:
                attempt += 1
                log.error("model %r did not recover (attempt %d): %s", self.name, attempt, error)
                # What cannot be opened is none the better for a new process.
                if attempt == _ATTEMPTS and self._is_restarted and opened is not None:
                    self._give_up(f"model {self.name!r} does not recover")
                self._closed.wait(min(_LONGEST_PAUSE_S, 0.5 * 2**attempt))
                continue
            self.sessions.update(opened)
            took = time.monotonic() - self._broken_since
            self._broken_since = None
            self._record.recovered(took)
            log.warning("model %r recovered in %.2f s", self.name, took)
            return
