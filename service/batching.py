"""Zero-wait batching: run slots that take whatever is queued the moment they are free.

A slot is a thread. There is no timer: an idle slot starts at once with a batch of what is there;
while all slots are busy the queue grows and so does the next batch. Items are batched with items
of the same bucket (role, shapes and dtypes), the bucket whose head waited longest first.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.errors import BusyError, InferenceError, NotReadyError, SightlineError
from service.priority import step_back
from service.promise import Promise
from service.session import Arrays

log = logging.getLogger(__name__)

Bucket = tuple[Any, ...]
"""What items must share to be batched: role, and name, shape and dtype of every input."""


class Run(Protocol):
    """Runs one batch of one role; see Session.run."""

    def __call__(self, role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        """Run ``items`` of one bucket."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one item.

    Attributes:
        outputs: output name to array, without the batch dimension.
        queue_s: seconds from submission to the start of its run.
        run_s: seconds of the run it was part of.
        batch_size: how many items that run had.
    """

    outputs: Arrays
    queue_s: float
    run_s: float
    batch_size: int


@dataclass(slots=True, eq=False)
class Item:
    """One thing in the queue.

    Attributes:
        bucket: what it must share with others of its batch.
        role: which of the model's graphs takes it.
        inputs: input name to array, without the batch dimension.
        deadline: on the clock of ``time.monotonic``; past it the item is neither run
            nor settled.
        settle: called at most once, in a slot's thread, with the answer or the error.
        withdrawn: nobody waits any more; set by Batcher.withdraw.
        submitted: when it was queued.
    """

    bucket: Bucket
    role: str
    inputs: Arrays
    deadline: float
    settle: Callable[[Answer | SightlineError], None]
    withdrawn: bool = False
    submitted: float = field(default_factory=time.monotonic)


class Batcher:
    """The bounded queue of one model and the slots that empty it."""

    def __init__(
        self,
        run: Run,
        *,
        name: str,
        slots: int,
        max_batch: int,
        capacity: int,
        is_lone: Callable[[], bool] = lambda: False,
        on_batch: Callable[[Sequence[Answer]], None] = lambda _: None,
    ) -> None:
        """Start the slots.

        Args:
            run: called in a slot's thread with the items of one bucket.
            name: of the model, for threads and messages.
            slots: runs at a time.
            max_batch: most items a run.
            capacity: most items waiting.
            is_lone: whether the item about to run is the only one in the service.
            on_batch: called in a slot's thread after every successful run.
        """
        self.name, self.slots, self.max_batch, self.capacity = name, slots, max_batch, capacity
        self._run, self._is_lone, self._on_batch = run, is_lone, on_batch
        self._changed = threading.Condition()
        self._waiting: dict[Bucket, deque[Item]] = {}
        self._queued = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._slot, name=f"{name}-slot-{index}", daemon=True)
            for index in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """Items waiting for a slot."""
        return self._queued

    def enqueue(
        self,
        role: str,
        inputs: Arrays,
        *,
        deadline: float,
        settle: Callable[[Answer | SightlineError], None],
    ) -> Item:
        """Queue one item, from any thread; see Item for the arguments.

        Raises:
            BusyError: the queue is full.
            NotReadyError: the model is being unloaded.
        """
        shapes = ((name, array.shape, array.dtype.str) for name, array in inputs.items())
        item = Item((role, *shapes), role, inputs, deadline, settle)
        with self._changed:
            if self._closed:
                raise NotReadyError(f"model {self.name!r} is being unloaded")
            if self._queued >= self.capacity:
                raise BusyError(f"the queue of model {self.name!r} is full")
            self._waiting.setdefault(item.bucket, deque()).append(item)
            self._queued += 1
            self._changed.notify()
        return item

    def withdraw(self, item: Item) -> None:
        """Take an item out of the queue, if it is still there; it will not be settled."""
        with self._changed:
            item.withdrawn = True
            bucket = self._waiting.get(item.bucket)
            if bucket and item in bucket:
                bucket.remove(item)
                self._queued -= 1
                if not bucket:
                    del self._waiting[item.bucket]

    async def submit(self, role: str, inputs: Arrays, *, deadline: float) -> Answer:
        """Queue one item and wait for its answer; cancelling withdraws it.

        Args:
            role: which of the model's graphs.
            inputs: input name to array, without the batch dimension.
            deadline: on the clock of ``time.monotonic``.

        Raises:
            BusyError: the queue is full.
            NotReadyError: the model is being unloaded.
            LateError: the deadline passed; a run already under way is not waited for.
            InferenceError: the run failed on this item alone.
        """
        promise: Promise[Answer] = Promise()
        item = self.enqueue(role, inputs, deadline=deadline, settle=promise.settle)
        try:
            return await promise.wait(deadline)
        finally:
            self.withdraw(item)

    async def close(self) -> None:
        """Refuse new items, finish those queued, stop the slots."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as joiner:
            await loop.run_in_executor(joiner, self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _take(self) -> list[Item]:
        """Wait for work; an empty list means the batcher is closed and drained."""
        with self._changed:
            while True:
                while not self._waiting:
                    if self._closed:
                        return []
                    self._changed.wait()
                key = min(self._waiting, key=lambda bucket: self._waiting[bucket][0].submitted)
                bucket = self._waiting[key]
                batch: list[Item] = []
                while bucket and len(batch) < self.max_batch:
                    item = bucket.popleft()
                    self._queued -= 1
                    if item.deadline > time.monotonic():
                        batch.append(item)
                if not bucket:
                    del self._waiting[key]
                if batch:
                    return batch

    def _slot(self) -> None:
        step_back()
        while batch := self._take():
            self._process(batch)
            del batch  # an idle slot must not keep the last pictures alive

    def _process(self, batch: list[Item]) -> None:
        """Run a batch; if it fails, halve it until only the items at fault fail."""
        started = time.monotonic()
        try:
            outputs = self._run(
                batch[0].role,
                [item.inputs for item in batch],
                lone=len(batch) == 1 and self._is_lone(),
            )
            run_s = time.monotonic() - started
            answers = [
                Answer(output, started - item.submitted, run_s, len(batch))
                for item, output in zip(batch, outputs, strict=True)
            ]
        except BaseException as error:  # an exit raised in a slot's thread must not end it either
            if len(batch) > 1:
                log.warning("a batch of %d of model %r failed; halving", len(batch), self.name)
                middle = len(batch) // 2
                for half in (batch[:middle], batch[middle:]):
                    now = time.monotonic()
                    waited_for = [i for i in half if not i.withdrawn and i.deadline > now]
                    if waited_for:
                        self._process(waited_for)
                return
            if not isinstance(error, SightlineError):
                log.exception("a run of model %r failed", self.name)
                error = InferenceError("the model could not process this input")
            self._settle(batch[0], error)
            return
        for item, answer in zip(batch, answers, strict=True):
            self._settle(item, answer)
        try:
            self._on_batch(answers)
        except Exception:
            log.exception("observing a run of model %r failed", self.name)

    def _settle(self, item: Item, result: Answer | SightlineError) -> None:
        try:
            item.settle(result)
        except BaseException:  # neither the slot nor the rest of the batch may suffer
            log.exception("an answer of model %r could not be delivered", self.name)
