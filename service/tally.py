"""What a model has done since it was loaded: how often, and how long it took."""

import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.batching import Answer
from service.task import Timing


@dataclass(slots=True)
class Spent:
    """Something that took time.

    Attributes:
        count: how often.
        seconds: all times together.
    """

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.seconds += seconds


@dataclass(slots=True)
class Counts:
    """What a Tally has counted.

    Attributes:
        answered: items with an answer, from their arrival to it.
        failed: items without one, from their arrival to the error.
        decoded: of those answered, the time they took to be made ready.
        queued: of those answered, the time they waited for threads and slots.
        ran: of those answered, the time of the runs they were part of.
        runs: runs, by the number of their items.
        last_s: when the last run ended, in seconds since the epoch; 0 if there was none.
    """

    answered: Spent = field(default_factory=Spent)
    failed: Spent = field(default_factory=Spent)
    decoded: Spent = field(default_factory=Spent)
    queued: Spent = field(default_factory=Spent)
    ran: Spent = field(default_factory=Spent)
    runs: dict[int, Spent] = field(default_factory=dict)
    last_s: float = 0.0


class Tally:
    """Counts from any thread."""

    def __init__(self) -> None:
        """Nothing has been done yet."""
        self._lock = threading.Lock()
        self._counts = Counts()

    def run(self, answers: Sequence[Answer]) -> None:
        """Count one run."""
        counts = self._counts
        with self._lock:
            counts.runs.setdefault(len(answers), Spent()).add(answers[0].run_s)
            counts.last_s = time.time()

    def answer(self, timing: Timing) -> None:
        """Count one item that has its answer."""
        counts = self._counts
        with self._lock:
            counts.answered.add(timing.total / 1e3)
            counts.decoded.add(timing.decode / 1e3)
            counts.queued.add(timing.queue / 1e3)
            counts.ran.add(timing.run / 1e3)

    def failure(self, seconds: float) -> None:
        """Count one item that gets no answer."""
        with self._lock:
            self._counts.failed.add(seconds)

    def read(self) -> Counts:
        """All counts of one moment."""
        with self._lock:
            return copy.deepcopy(self._counts)
