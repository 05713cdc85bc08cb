"""Zero-wait batching: run slots that take whatever is queued the moment they are free.

A slot is a thread. There is no timer: an idle slot starts at once with a batch of what is there;
while all slots are busy the queue grows and so does the next batch. Items are batched with items
of the same bucket (role, shapes and dtypes), the bucket whose head waited longest first.
``service.waiting`` is the queue, ``service.run_memory`` what runs of any size share.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from service.errors import InferenceError, NotReadyError, OutOfMemoryError, SightlineError
from service.patience import finishes
from service.priority import step_back
from service.promise import Promise
from service.run_memory import RunMemory
from service.session import Arrays
from service.waiting import Answer, Item, Share, Waiting, waited_for

__all__ = ["Answer", "Batcher", "Item", "Run", "Share"]

log = logging.getLogger(__name__)


class Run(Protocol):
    """Runs one batch of one role; see Session.run."""

    def __call__(self, role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        """Run ``items`` of one bucket."""
        ...


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
        share: Share | None = None,
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
            share: what the runs take of a memory that is bounded; none if None.
        """
        self.name, self.slots, self.max_batch, self.capacity = name, slots, max_batch, capacity
        self._run, self._is_lone, self._on_batch = run, is_lone, on_batch
        self._share = share
        self._waiting = Waiting(name, max_batch=max_batch, capacity=capacity, share=share)
        self._threads = [
            threading.Thread(target=self._slot, name=f"{name}-slot-{index}", daemon=True)
            for index in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued(self) -> int:
        """Items waiting for a slot."""
        return self._waiting.count

    def enqueue(
        self,
        role: str,
        inputs: Arrays,
        *,
        deadline: float,
        settle: Callable[[Answer | SightlineError], None],
        first: bool = False,
    ) -> Item:
        """Queue one item, from any thread; see Item for the arguments.

        One that is to be first is queued even where the queue is full.

        Raises:
            BusyError: the queue is full.
            NotReadyError: the model is being unloaded.
            TooLargeError: its run would take more memory than there is for runs.
        """
        return self._waiting.put(role, inputs, deadline, settle, first=first)

    def withdraw(self, item: Item) -> None:
        """Take an item out of the queue, if it is still there; it will not be settled."""
        self._waiting.withdraw(item)

    async def submit(
        self, role: str, inputs: Arrays, *, deadline: float, first: bool = False
    ) -> Answer:
        """Queue one item and wait for its answer; cancelling withdraws it.

        Args:
            role: which of the model's graphs.
            inputs: input name to array, without the batch dimension.
            deadline: on the clock of ``time.monotonic``.
            first: before all others, however full the queue is.

        Raises:
            BusyError: the queue is full.
            NotReadyError: the model is being unloaded.
            TooLargeError: its run would take more memory than there is for runs.
            LateError: the deadline passed; a run already under way is not waited for.
            InferenceError: the run failed on this item alone.
        """
        promise: Promise[Answer] = Promise()
        settle = promise.settle
        item = self.enqueue(role, inputs, deadline=deadline, settle=settle, first=first)
        try:
            return await promise.wait(deadline)
        finally:
            self.withdraw(item)

    async def close(self, patience_s: float | None = None) -> bool:
        """Refuse new items, finish those queued, stop the slots.

        Args:
            patience_s: seconds to wait for that; without limit if None.

        Returns:
            Whether all slots have stopped; one that has not is in a run that does not end.
        """
        self._waiting.close()
        return await finishes(self._join, f"{self.name}-close", patience_s)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _slot(self) -> None:
        step_back()
        while batch := self._waiting.take():
            self._process(batch)
            del batch  # an idle slot must not keep the last pictures alive

    def _process(self, batch: list[Item]) -> None:
        """Run a batch; if it fails, halve it until only the items at fault fail."""
        started = time.monotonic()
        try:
            outputs = self._run(
                batch[0].role, [item.inputs for item in batch], lone=self._has_all(batch)
            )
            run_s = time.monotonic() - started
            answers = [
                Answer(output, started - item.submitted, run_s, len(batch))
                for item, output in zip(batch, outputs, strict=True)
            ]
        except BaseException as error:  # an exit raised in a slot's thread must not end it either
            self._failed(batch, error)
            return
        self._give_back(batch)
        for item, answer in zip(batch, answers, strict=True):
            self._settle(item, answer)
        try:
            self._on_batch(answers)
        except Exception:
            log.exception("observing a run of model %r failed", self.name)

    def _has_all(self, batch: list[Item]) -> bool:
        """Whether a run may use the whole device: nothing else is there to be run beside it."""
        if len(batch) > 1:
            return False
        if batch[0].needs and self._share is not None:
            return self._is_lone() or not self._share.memory.leaves_room(batch[0].needs)
        return self._is_lone()

    def _failed(self, batch: list[Item], error: BaseException) -> None:
        """Run what failed in parts, or tell of it."""
        memory = self._share.memory if self._share is not None and batch[0].needs else None
        if memory and isinstance(error, OutOfMemoryError) and batch[0].needs < memory.max_bytes:
            log.warning("model %r took more memory than it should; one by one now", self.name)
            self._give_back(batch)
            for item in waited_for(batch):
                self._process_alone(item, memory)
            return
        if isinstance(error, NotReadyError):
            # What is not there for one item is there for none: halves would only say so again.
            self._give_back(batch)
            for item in batch:
                self._settle(item, error)
            return
        if len(batch) > 1:
            log.warning("a batch of %d of model %r failed; halving", len(batch), self.name)
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                left = waited_for(half)
                self._give_back([item for item in half if item not in left])
                if left:
                    self._process(left)
            return
        self._give_back(batch)
        if not isinstance(error, SightlineError):
            log.exception("a run of model %r failed", self.name, exc_info=error)
            error = InferenceError("the model could not process this input")
        self._settle(batch[0], error)

    def _process_alone(self, item: Item, memory: RunMemory) -> None:
        """Run an item with all of the shared memory, while no other run has any of it."""
        item.needs = memory.max_bytes
        memory.take(item.needs)
        if waited_for([item]):
            self._process([item])
        else:
            self._give_back([item])

    def _give_back(self, items: Sequence[Item]) -> None:
        """Return what the run of these took of the shared memory, once for each."""
        if self._share is not None and (taken := sum(item.needs for item in items)):
            self._share.memory.give_back(taken)

    def _settle(self, item: Item, result: Answer | SightlineError) -> None:
        try:
            item.settle(result)
        except BaseException:  # neither the slot nor the rest of the batch may suffer
            log.exception("an answer of model %r could not be delivered", self.name)
