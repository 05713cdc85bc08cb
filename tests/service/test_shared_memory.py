"""Batches of a model whose runs take memory that is bounded, with runs in the test's hands."""

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from asgi import until
from test_batching import FAR, HeldRuns, answered, batching, item, queue, value_of

from service.batching import Share
from service.errors import LateError, OutOfMemoryError, TooLargeError
from service.run_memory import RunMemory
from service.session import Arrays


def share_of(memory: RunMemory) -> Share:
    """Runs that take 10 for each number of an item."""
    return Share(memory, lambda _, inputs: 10 * len(inputs["x"]))


async def test_a_batch_is_as_large_as_finds_room() -> None:
    runs, memory = HeldRuns(), RunMemory(100)
    async with batching(runs, max_batch=8, share=share_of(memory)) as batcher:
        first = await queue(batcher, item(0, length=10))
        held = await runs.next()
        others = [await queue(batcher, item(value, length=3)) for value in range(1, 6)]
        assert memory.held == 100
        held.release()
        sizes = []
        for _ in range(2):
            held = await runs.next()
            assert memory.held == 30 * len(held.values) <= 100
            sizes.append(held.values)
            held.release()
        assert sizes == [[1, 2, 3], [4, 5]]
        await asyncio.gather(first, *others)
        await until(lambda: not memory.held)


async def test_slots_wait_for_their_part_and_a_large_run_is_not_overtaken() -> None:
    runs, memory = HeldRuns(), RunMemory(100)
    async with batching(runs, slots=3, max_batch=1, share=share_of(memory)) as batcher:
        tasks = [await queue(batcher, item(1, length=6))]
        first = await runs.next()
        tasks.append(await queue(batcher, item(2, length=9)))
        await until(lambda: memory.waiting == 1)
        tasks.append(await queue(batcher, item(3, length=2)))  # which would find room
        await until(lambda: memory.waiting == 2)
        assert batcher.queued == 2  # where they still can be withdrawn
        assert runs.none_begun
        first.release()
        second = await runs.next()
        assert second.values == [2]
        assert memory.held == 90
        second.release()
        third = await runs.next()
        third.release()
        await asyncio.gather(*tasks)
        await until(lambda: not memory.held)


async def test_models_share_one_memory() -> None:
    one, other, memory = HeldRuns(), HeldRuns(), RunMemory(100)
    async with (
        batching(one, share=share_of(memory)) as first,
        batching(other, share=share_of(memory)) as second,
    ):
        running = await queue(first, item(1, length=8))
        held = await one.next()
        waiting = await queue(second, item(2, length=8))
        await until(lambda: memory.waiting == 1)
        assert other.none_begun
        held.release()
        (await other.next()).release()
        await asyncio.gather(running, waiting)


async def test_what_is_withdrawn_or_late_while_a_slot_waits_for_memory_is_not_run() -> None:
    runs, memory = HeldRuns(), RunMemory(100)
    async with batching(runs, slots=2, share=share_of(memory)) as batcher:
        first = await queue(batcher, item(1, length=9))
        held = await runs.next()
        left = await queue(batcher, item(2, length=8))
        late = await queue(batcher, item(3, length=8), seconds=0.02)
        await until(lambda: memory.waiting == 1)
        left.cancel()
        with pytest.raises(LateError):
            await late
        await until(lambda: batcher.queued == 0)
        held.release()
        await first
        await until(lambda: not memory.held)
        last = await queue(batcher, item(4, length=10))
        held = await runs.next()
        assert held.values == [4]
        held.release()
        await last


async def test_closing_finishes_what_waits_for_memory() -> None:
    runs, memory = HeldRuns(), RunMemory(100)
    async with batching(runs, slots=2, share=share_of(memory)) as batcher:
        first = await queue(batcher, item(1, length=9))
        held = await runs.next()
        second = await queue(batcher, item(2, length=9))
        await until(lambda: memory.waiting == 1)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        held.release()
        (await runs.next()).release()
        await asyncio.wait_for(closing, FAR)
        assert [(await each).batch_size for each in (first, second)] == [1, 1]


async def test_what_no_run_has_memory_for_is_refused_in_front() -> None:
    runs = HeldRuns()
    share = Share(RunMemory(100 << 20), lambda _, inputs: len(inputs["x"]) << 20)
    async with batching(runs, share=share) as batcher:
        with pytest.raises(TooLargeError, match=r"about 101 MiB .* the 100 that .* cpu_arena_mib"):
            await batcher.submit("main", item(1, length=101), deadline=time.monotonic() + FAR)
        assert batcher.queued == 0
        assert runs.none_begun


async def test_a_run_that_leaves_no_room_for_another_has_the_whole_device() -> None:
    runs, memory = HeldRuns(), RunMemory(100)
    async with batching(runs, max_batch=2, share=share_of(memory)) as batcher:
        for length, lone in ((6, True), (5, False)):
            task = await queue(batcher, item(1, length=length))
            held = await runs.next()
            assert held.lone is lone
            held.release()
            await task


class ShortOfMemory:
    """Runs that fail where they are more than one at a time, or for one value always."""

    def __init__(self, hopeless: int | None = None) -> None:
        self.hopeless = hopeless
        self.sizes: list[int] = []
        self._running = 0
        self._lock = threading.Lock()

    def __call__(self, role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        del role, lone
        values = [value_of(inputs) for inputs in items]
        with self._lock:
            self._running += len(items)
            self.sizes.append(len(items))
        try:
            time.sleep(0.005)  # for the other slots to begin as well
            if self._running > 1 or self.hopeless in values:
                raise OutOfMemoryError("too little")
            return [answered(inputs) for inputs in items]
        finally:
            with self._lock:
                self._running -= len(items)


async def test_runs_that_find_too_little_memory_after_all_are_run_one_by_one() -> None:
    runs, memory = ShortOfMemory(), RunMemory(1000)
    async with batching(runs, slots=3, max_batch=4, share=share_of(memory)) as batcher:
        tasks = [await queue(batcher, item(value)) for value in range(40)]
        answers = await asyncio.gather(*tasks)
        assert [int(each.outputs["y"][0]) for each in answers] == [3 * v + 1 for v in range(40)]
        await until(lambda: not memory.held)
    assert max(runs.sizes) > 1


async def test_what_finds_too_little_memory_alone_fails_alone_and_gives_all_back() -> None:
    runs, memory = ShortOfMemory(hopeless=3), RunMemory(1000)
    async with batching(runs, slots=2, max_batch=4, share=share_of(memory)) as batcher:
        tasks = [await queue(batcher, item(value)) for value in range(8)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [value for value, each in enumerate(found) if isinstance(each, Exception)] == [3]
        assert isinstance(found[3], OutOfMemoryError)
        assert (found[3].status, found[3].headers["Retry-After"]) == (503, "1")
        await until(lambda: not memory.held)
        after = await queue(batcher, item(9))
        assert np.array_equal((await after).outputs["y"], [28])


async def test_a_model_of_one_size_that_finds_too_little_memory_is_halved_as_ever() -> None:
    runs = HeldRuns()
    async with batching(runs, max_batch=2) as batcher:
        busy = await queue(batcher, item(0, length=9))
        held = await runs.next()
        tasks = [await queue(batcher, item(value)) for value in (1, 2)]
        held.release()
        await busy
        (await runs.next()).release(OutOfMemoryError("too little"))
        (await runs.next()).release()
        (await runs.next()).release(OutOfMemoryError("too little"))
        assert (await tasks[0]).batch_size == 1
        with pytest.raises(OutOfMemoryError):
            await tasks[1]
