"""What waits for a run of one model: a bounded queue in buckets, and what a slot takes of it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.errors import BusyError, NotReadyError, SightlineError, TooLargeError
from service.run_memory import RunMemory, mib
from service.session import Arrays

Bucket = tuple[Any, ...]
"""What items must share to be batched: role, and name, shape and dtype of every input."""


@dataclass(frozen=True, slots=True)
class Share:
    """A model's part in the memory that runs share.

    Attributes:
        memory: of all models.
        needs: how many bytes of it an item's run takes, of a role and inputs; 0 if none.
    """

    memory: RunMemory
    needs: Callable[[str, Arrays], int]


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
        needs: bytes that its run takes of the shared memory; 0 if none.
        first: it goes before all others.
        withdrawn: nobody waits any more; set by Waiting.withdraw.
        submitted: when it was queued.
    """

    bucket: Bucket
    role: str
    inputs: Arrays
    deadline: float
    settle: Callable[[Answer | SightlineError], None]
    needs: int = 0
    first: bool = False
    withdrawn: bool = False
    submitted: float = field(default_factory=time.monotonic)

    @property
    def rank(self) -> float:
        """What queues go by; the least is next."""
        return 0.0 if self.first else self.submitted


def waited_for(items: Sequence[Item]) -> list[Item]:
    """Those that are neither withdrawn nor past their deadline."""
    now = time.monotonic()
    return [item for item in items if not item.withdrawn and item.deadline > now]


class Waiting:
    """The items of one model that no slot has taken yet; for any thread."""

    def __init__(
        self, name: str, *, max_batch: int, capacity: int, share: Share | None = None
    ) -> None:
        """Nothing waits yet.

        Args:
            name: of the model, for messages.
            max_batch: most items a slot takes at a time.
            capacity: most items waiting.
            share: what runs take of a memory that is bounded; none if None.
        """
        self.count = 0
        self._name, self._max_batch, self._capacity = name, max_batch, capacity
        self._share = share
        self._changed = threading.Condition()
        self._buckets: dict[Bucket, deque[Item]] = {}
        self._in_line = set[Bucket]()  # those for which a slot waits for memory
        self._closed = False

    def put(
        self,
        role: str,
        inputs: Arrays,
        deadline: float,
        settle: Callable[[Answer | SightlineError], None],
        *,
        first: bool = False,
    ) -> Item:
        """Queue one item; see Item for the arguments.

        One that is to be first is queued even where the queue is full.

        Raises:
            BusyError: the queue is full.
            NotReadyError: the model is being unloaded.
            TooLargeError: its run would take more memory than there is for runs.
        """
        shapes = ((name, array.shape, array.dtype.str) for name, array in inputs.items())
        item = Item((role, *shapes), role, inputs, deadline, settle, first=first)
        if self._share is not None:
            item.needs = self._needs(self._share, role, inputs)
        with self._changed:
            if self._closed:
                raise NotReadyError(f"model {self._name!r} is being unloaded")
            if self.count >= self._capacity and not first:
                raise BusyError(f"the queue of model {self._name!r} is full")
            bucket = self._buckets.setdefault(item.bucket, deque())
            (bucket.appendleft if first else bucket.append)(item)
            self.count += 1
            self._changed.notify()
        return item

    def withdraw(self, item: Item) -> None:
        """Take an item out, if it is still there."""
        with self._changed:
            item.withdrawn = True
            bucket = self._buckets.get(item.bucket)
            if bucket and item in bucket:
                bucket.remove(item)
                self.count -= 1
                if not bucket:
                    del self._buckets[item.bucket]

    def close(self) -> None:
        """Refuse new items; what waits is still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> list[Item]:
        """Wait for a batch, and for memory to run it; an empty one means closed and drained.

        Items of the bucket whose head waited longest, as many as there are, as may be in a batch,
        and as find room. While a slot waits for room they stay in the queue, and other slots look
        after the other buckets.
        """
        while True:
            with self._changed:
                key = self._oldest()
                if key is None:
                    return []
                needs = self._buckets[key][0].needs
                if not needs:
                    if batch := self._pop(key, self._max_batch):
                        return batch
                    continue
                most = min(len(self._buckets[key]), self._max_batch)
                self._in_line.add(key)
            assert self._share is not None
            count = self._share.memory.take(needs, most)
            with self._changed:  # meanwhile they may have been withdrawn
                self._in_line.remove(key)
                batch = self._pop(key, count)
                self._changed.notify_all()
            if len(batch) < count:
                self._share.memory.give_back(needs * (count - len(batch)))
            if batch:
                return batch

    def _needs(self, share: Share, role: str, inputs: Arrays) -> int:
        needs, memory = share.needs(role, inputs), share.memory
        if not memory.is_enough(needs):
            raise TooLargeError(
                f"a run of model {self._name!r} takes about {mib(needs):,} MiB of memory for a "
                f"picture of this size, more than the {mib(memory.max_bytes):,} that the setting "
                "cpu_arena_mib leaves for such runs; send a smaller one"
            )
        return needs

    def _oldest(self) -> Bucket | None:
        """Wait for a bucket that no slot is in line for; None once closed and drained."""
        while True:
            buckets = self._buckets
            if self._in_line:
                buckets = {key: buckets[key] for key in buckets.keys() - self._in_line}
            if buckets:
                return min(buckets, key=lambda key: buckets[key][0].rank)
            if self._closed and not self._in_line:
                return None
            self._changed.wait()

    def _pop(self, key: Bucket, most: int) -> list[Item]:
        """Take up to so many items out of a bucket, leaving aside those past their deadline."""
        bucket, batch = self._buckets.get(key), list[Item]()
        if bucket is None:
            return batch
        while bucket and len(batch) < most:
            item = bucket.popleft()
            self.count -= 1
            if item.deadline > time.monotonic():
                batch.append(item)
        if not bucket:
            del self._buckets[key]
        return batch
