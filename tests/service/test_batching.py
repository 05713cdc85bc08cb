"""Slots, the bounded queue, buckets and bisection, with runs that a test holds and lets go."""

import asyncio
import math
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.batching import Answer, Batcher, Run, Share
from service.errors import BusyError, InferenceError, LateError, NotReadyError, SightlineError
from service.session import Arrays

FAR = 60.0
"""Seconds no test takes."""


def item(value: int, length: int = 1) -> Arrays:
    """Inputs that carry ``value``; items of one ``length`` share a bucket."""
    return {"x": np.full(length, value, np.int64)}


def answered(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"] * 3 + 1}


def value_of(inputs: Arrays) -> int:
    return int(inputs["x"][0])


@dataclass
class Held:
    """A run under way that waits for the test."""

    role: str
    values: list[int]
    lone: bool
    failure: BaseException | None = None
    go: threading.Event = field(default_factory=threading.Event)

    def release(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.go.set()


class HeldRuns:
    """A runner whose every run waits until the test lets it go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Queue[Held] = asyncio.Queue()
        self._all: list[Held] = []
        self._over = False

    def __call__(self, role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        held = Held(role, [value_of(inputs) for inputs in items], lone)
        self._all.append(held)
        self._loop.call_soon_threadsafe(self._begun.put_nowait, held)
        assert self._over or held.go.wait(FAR)
        if held.failure is not None:
            raise held.failure
        return [answered(inputs) for inputs in items]

    async def next(self) -> Held:
        """The next run to begin."""
        return await asyncio.wait_for(self._begun.get(), FAR)

    def let_all_go(self) -> None:
        """The test is over, well or badly."""
        self._over = True
        for held in self._all:
            held.go.set()

    @property
    def none_begun(self) -> bool:
        return self._begun.empty()


@asynccontextmanager
async def batching(
    run: Run,
    *,
    slots: int = 1,
    max_batch: int = 4,
    capacity: int = 1000,
    is_lone: Callable[[], bool] = lambda: False,
    on_batch: Callable[[Sequence[Answer]], None] = lambda _: None,
    share: Share | None = None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        run,
        name="held",
        slots=slots,
        max_batch=max_batch,
        capacity=capacity,
        is_lone=is_lone,
        on_batch=on_batch,
        share=share,
    )
    try:
        yield batcher
    finally:
        if isinstance(run, HeldRuns):
            run.let_all_go()
        await batcher.close()


async def queue(
    batcher: Batcher, inputs: Arrays, *, role: str = "main", seconds: float = FAR
) -> asyncio.Task[Answer]:
    """Submit and return once the item is in the queue."""
    task = asyncio.create_task(batcher.submit(role, inputs, deadline=time.monotonic() + seconds))
    await asyncio.sleep(0)
    return task


async def busy(batcher: Batcher, runs: HeldRuns, slots: int = 1) -> list[Held]:
    """Keep every slot busy with an item of its own."""
    held = []
    for index in range(slots):
        (await queue(batcher, item(-1 - index, length=99))).add_done_callback(_look)
        held.append(await runs.next())
    return held


def _look(task: asyncio.Task[Answer]) -> None:
    """Take a failure that no test asks for, so that asyncio does not complain of it."""
    if not task.cancelled():
        task.exception()


async def test_an_idle_slot_starts_a_batch_of_one_at_once() -> None:
    runs = HeldRuns()
    async with batching(runs, max_batch=8) as batcher:
        task = await queue(batcher, item(5))
        held = await runs.next()
        assert held.values == [5]
        held.release()
        answer = await task
        assert answer.outputs["y"].tolist() == [16]
        assert answer.batch_size == 1


async def test_while_busy_the_queue_fills_and_the_next_batch_takes_all_up_to_max_batch() -> None:
    runs = HeldRuns()
    async with batching(runs, max_batch=4) as batcher:
        (first,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(5)]
        assert batcher.queued == 5
        assert runs.none_begun
        first.release()
        second = await runs.next()
        assert second.values == [0, 1, 2, 3]
        assert batcher.queued == 1
        second.release()
        third = await runs.next()
        assert third.values == [4]
        third.release()
        answers = await asyncio.gather(*tasks)
        assert [answer.batch_size for answer in answers] == [4, 4, 4, 4, 1]
        assert [int(answer.outputs["y"][0]) for answer in answers] == [1, 4, 7, 10, 13]


async def test_every_slot_runs_at_the_same_time_and_no_more_than_that() -> None:
    runs = HeldRuns()
    async with batching(runs, slots=3, max_batch=1) as batcher:
        held = await busy(batcher, runs, slots=3)
        waiting = await queue(batcher, item(7))
        assert batcher.queued == 1
        assert runs.none_begun
        held[1].release()
        last = await runs.next()
        assert last.values == [7]
        for run in (held[0], held[2], last):
            run.release()
        assert (await waiting).outputs["y"].tolist() == [22]


async def test_a_batch_holds_items_of_one_role_shape_and_dtype() -> None:
    runs = HeldRuns()
    async with batching(runs, max_batch=8) as batcher:
        (held,) = await busy(batcher, runs)
        small = {"x": np.array([4], np.int32)}
        renamed = {"x": np.array([5]), "z": np.array([5])}
        for inputs, role in (
            (item(0), "main"),
            (item(1), "encoder"),
            (item(2, length=2), "main"),
            (item(3), "main"),
            (small, "main"),
            (renamed, "main"),
        ):
            (await queue(batcher, inputs, role=role)).add_done_callback(_look)
        batches = []
        for _ in range(5):
            held.release()
            held = await runs.next()
            batches.append((held.role, held.values))
        held.release()
        assert batches == [
            ("main", [0, 3]),
            ("encoder", [1]),
            ("main", [2]),
            ("main", [4]),
            ("main", [5]),
        ]


async def test_a_bucket_that_keeps_filling_does_not_starve_another() -> None:
    runs = HeldRuns()
    async with batching(runs, max_batch=2) as batcher:
        (held,) = await busy(batcher, runs)
        for value in (0, 1, 2):
            (await queue(batcher, item(value))).add_done_callback(_look)
        rare = await queue(batcher, item(100, length=2))
        order = []
        for value in range(3, 30, 2):
            for one in (value, value + 1):  # as many as a run takes away
                (await queue(batcher, item(one))).add_done_callback(_look)
            held.release()
            held = await runs.next()
            order.append(held.values)
            if held.values == [100]:
                break
        assert order == [[0, 1], [2, 3], [100]]  # only what was there before goes first
        held.release()
        await rare


async def test_past_its_capacity_the_queue_is_busy_and_recovers() -> None:
    runs = HeldRuns()
    async with batching(runs, capacity=2) as batcher:
        (held,) = await busy(batcher, runs)
        kept = [await queue(batcher, item(value)) for value in range(2)]
        with pytest.raises(BusyError, match="queue of model 'held' is full"):
            await batcher.submit("main", item(2), deadline=time.monotonic() + FAR)
        held.release()
        held = await runs.next()
        kept.append(await queue(batcher, item(3)))
        held.release()
        (await runs.next()).release()
        assert [int(a.outputs["y"][0]) for a in await asyncio.gather(*kept)] == [1, 4, 10]


async def test_an_item_that_waits_past_its_deadline_is_late_and_never_runs() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        late = await queue(batcher, item(1), seconds=0.01)
        with pytest.raises(LateError):
            await late
        assert batcher.queued == 0
        kept = await queue(batcher, item(2))
        held.release()
        held = await runs.next()
        assert held.values == [2]
        held.release()
        await kept


async def test_an_item_that_expired_while_the_event_loop_was_blocked_is_not_run() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        deadline = time.monotonic() + 0.01
        late = asyncio.create_task(batcher.submit("main", item(1), deadline=deadline))
        kept = await queue(batcher, item(2))
        while time.monotonic() <= deadline:  # the loop cannot see the deadline pass
            time.sleep(0.001)
        held.release()
        held = await runs.next()
        assert held.values == [2]
        held.release()
        await kept
        with pytest.raises(LateError):
            await late


async def test_a_bucket_of_expired_items_only_is_passed_over() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        deadline = time.monotonic() + 0.01
        late = asyncio.create_task(batcher.submit("main", item(1), deadline=deadline))
        kept = await queue(batcher, item(2, length=2))
        while time.monotonic() <= deadline:  # the loop cannot see the deadline pass
            time.sleep(0.001)
        held.release()
        held = await runs.next()
        assert held.values == [2]
        held.release()
        await kept
        with pytest.raises(LateError):
            await late


async def test_a_deadline_already_past_is_late_even_when_slots_are_idle() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        with pytest.raises(LateError):
            await batcher.submit("main", item(1), deadline=time.monotonic() - 1)
        assert batcher.queued == 0
        kept = await queue(batcher, item(2))
        held = await runs.next()
        assert held.values == [2]
        held.release()
        await kept


async def test_a_run_under_way_is_not_waited_for_past_the_deadline() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        late = await queue(batcher, item(1), seconds=0.05)
        held = await runs.next()
        with pytest.raises(LateError):
            await late
        kept = await queue(batcher, item(2))
        held.release()
        held = await runs.next()
        held.release()
        assert (await kept).outputs["y"].tolist() == [7]


async def test_a_cancelled_item_leaves_the_queue_and_never_runs() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(3)]
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert batcher.queued == 2
        held.release()
        held = await runs.next()
        assert held.values == [0, 2]
        held.release()
        await asyncio.gather(tasks[0], tasks[2])


async def test_cancelling_the_last_item_of_a_bucket_leaves_nothing_to_run() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        task = await queue(batcher, item(1))
        task.cancel()
        await asyncio.wait([task])
        assert batcher.queued == 0
        held.release()
        kept = await queue(batcher, item(2, length=2))
        held = await runs.next()
        assert held.values == [2]
        held.release()
        await kept


async def test_cancelling_an_item_that_runs_leaves_its_neighbours_alone() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(3)]
        held.release()
        held = await runs.next()
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        held.release()
        answers = await asyncio.gather(*tasks[1:])
        assert [int(answer.outputs["y"][0]) for answer in answers] == [4, 7]


async def test_an_item_withdrawn_while_its_batch_failed_is_not_run_again() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(4)]
        held.release()
        held = await runs.next()
        for task in tasks[:3]:
            task.cancel()
        await asyncio.wait(tasks[:3])
        held.release(RuntimeError("halve it"))
        held = await runs.next()
        assert held.values == [3]
        held.release()
        assert (await tasks[3]).outputs["y"].tolist() == [10]


async def test_closing_finishes_what_is_queued_and_refuses_what_is_new() -> None:
    runs = HeldRuns()
    async with batching(runs, max_batch=1) as batcher:
        (held,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(2)]
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(NotReadyError, match="'held' is being unloaded"):
            await batcher.submit("main", item(9), deadline=time.monotonic() + FAR)
        assert not closing.done()
        for _ in range(2):
            held.release()
            held = await runs.next()
        held.release()
        assert [int(a.outputs["y"][0]) for a in await asyncio.gather(*tasks)] == [1, 4]
        await closing
        assert not [t for t in threading.enumerate() if t.name.startswith("held-slot")]


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("no"),
        MemoryError(),
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        asyncio.CancelledError(),
        StopIteration(),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_slot_survives_a_run_that_raises(failure: BaseException) -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        bad = await queue(batcher, item(1))
        (await runs.next()).release(failure)
        with pytest.raises(InferenceError, match="could not process this input"):
            await bad
        good = await queue(batcher, item(2))
        (await runs.next()).release()
        assert (await good).outputs["y"].tolist() == [7]


async def test_an_error_of_our_own_reaches_the_caller_as_it_is() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        task = await queue(batcher, item(1))
        (await runs.next()).release(InferenceError("output 'y' is not finite"))
        with pytest.raises(InferenceError, match="not finite"):
            await task


@pytest.mark.parametrize("returned", [[], [{}, {}, {}], None], ids=["few", "many", "none"])
async def test_a_slot_survives_a_run_with_the_wrong_number_of_outputs(
    returned: list[Arrays] | None,
) -> None:
    broken = True

    def run(_: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        return returned if broken else [answered(inputs) for inputs in items]  # type: ignore[return-value]

    async with batching(run, max_batch=2) as batcher:
        with pytest.raises(InferenceError, match="could not process this input"):
            await batcher.submit("main", item(1), deadline=time.monotonic() + FAR)
        broken = False
        answer = await batcher.submit("main", item(2), deadline=time.monotonic() + FAR)
        assert answer.outputs["y"].tolist() == [7]


async def test_too_few_outputs_for_a_batch_never_shift_answers_to_other_items() -> None:
    runs = HeldRuns()
    short = threading.Event()

    def run(role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        outputs = runs(role, items, lone=lone)
        return outputs[1:] if short.is_set() and len(items) > 1 else outputs

    async with batching(run) as batcher:
        (held,) = await busy(batcher, runs)
        short.set()
        tasks = [await queue(batcher, item(value)) for value in range(2)]
        held.release()
        for expected in ([0, 1], [0], [1]):
            held = await runs.next()
            assert held.values == expected
            held.release()
        answers = await asyncio.gather(*tasks)
        assert [int(answer.outputs["y"][0]) for answer in answers] == [1, 4]


async def test_an_observer_that_raises_harms_neither_the_slot_nor_the_rest_of_a_halved_batch() -> (
    None
):
    def on_batch(_: Sequence[Answer]) -> None:
        raise RuntimeError("no metrics today")

    runs = HeldRuns()
    async with batching(runs, on_batch=on_batch) as batcher:
        (held,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(2)]
        held.release()
        (await runs.next()).release(RuntimeError("halve it"))
        for _ in range(2):
            (await runs.next()).release()
        answers = await asyncio.gather(*tasks)
        assert [int(answer.outputs["y"][0]) for answer in answers] == [1, 4]


async def test_an_answer_that_cannot_be_delivered_harms_neither_the_slot_nor_its_neighbours() -> (
    None
):
    def settle(_: Answer | SightlineError) -> None:
        raise SystemExit

    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        batcher.enqueue("main", item(1), deadline=time.monotonic() + FAR, settle=settle)
        neighbour = await queue(batcher, item(2))
        held.release()
        (await runs.next()).release()
        assert (await neighbour).outputs["y"].tolist() == [7]
        after = await queue(batcher, item(3))
        (await runs.next()).release()
        assert (await after).outputs["y"].tolist() == [10]


async def test_the_observer_sees_every_answer_of_every_successful_run() -> None:
    seen: list[int] = []
    runs = HeldRuns()
    async with batching(runs, on_batch=lambda answers: seen.append(len(answers))) as batcher:
        (held,) = await busy(batcher, runs)
        tasks = [await queue(batcher, item(value)) for value in range(3)]
        held.release()
        (await runs.next()).release()
        await asyncio.gather(*tasks)
    assert seen == [1, 3]


async def test_only_a_single_item_of_an_idle_service_is_run_as_lone() -> None:
    alone = True
    runs = HeldRuns()
    async with batching(runs, is_lone=lambda: alone) as batcher:
        (held,) = await busy(batcher, runs)
        assert held.lone
        tasks = [await queue(batcher, item(value)) for value in range(2)]
        held.release()
        held = await runs.next()
        assert not held.lone  # two in a batch
        alone = False
        tasks.append(await queue(batcher, item(2)))
        held.release()
        held = await runs.next()
        assert not held.lone  # one, but others are about
        held.release()
        await asyncio.gather(*tasks)


@given(size=st.integers(1, 32), poisoned=st.sets(st.integers(0, 31), max_size=5))
@hypothesis_settings(deadline=None, max_examples=60)
def test_bisection_fails_only_the_poisoned_and_costs_a_logarithm(
    size: int, poisoned: set[int]
) -> None:
    poisoned = {value for value in poisoned if value < size}
    batches: list[int] = []

    async def scenario() -> None:
        held_runs = HeldRuns()

        def run(role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
            if len(items[0]["x"]) == 99:
                return held_runs(role, items, lone=lone)
            batches.append(len(items))
            if any(value_of(inputs) in poisoned for inputs in items):
                raise RuntimeError("poison")
            return [answered(inputs) for inputs in items]

        async with batching(run, max_batch=32) as batcher:
            (held,) = await busy(batcher, held_runs)
            tasks = [await queue(batcher, item(value)) for value in range(size)]
            held.release()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for value, result in enumerate(results):
            if value in poisoned:
                assert isinstance(result, InferenceError)
            else:
                assert isinstance(result, Answer)
                assert result.outputs["y"].tolist() == [3 * value + 1]

    asyncio.run(scenario())
    assert batches[0] == size
    assert len(batches) <= 1 + 2 * len(poisoned) * math.ceil(math.log2(size) if size > 1 else 0)


@given(
    max_batch=st.integers(1, 4),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("submit"), st.integers(0, 2)),
            st.tuples(st.just("cancel"), st.integers(0, 20)),
            st.tuples(st.just("release"), st.just(0)),
        ),
        max_size=40,
    ),
)
@hypothesis_settings(deadline=None, max_examples=100)
def test_one_slot_serves_the_oldest_heads_bucket_whatever_the_order_of_events(
    max_batch: int, steps: list[tuple[str, int]]
) -> None:
    """Held against a plain model: a list of what waits, oldest first."""

    async def scenario() -> None:
        runs = HeldRuns()
        async with batching(runs, max_batch=max_batch) as batcher:
            tasks: list[asyncio.Task[Answer]] = []
            waiting: list[tuple[int, int]] = []  # bucket and value
            held: Held | None = None

            async def begin() -> Held | None:
                """What must run next does."""
                if not waiting:
                    assert runs.none_begun
                    return None
                bucket = waiting[0][0]
                batch = [one for one in waiting if one[0] == bucket][:max_batch]
                waiting[:] = [one for one in waiting if one not in batch]
                begun = await runs.next()
                assert begun.values == [value for _, value in batch]
                return begun

            for action, number in steps:
                if action == "submit":
                    waiting.append((number, len(tasks)))
                    tasks.append(await queue(batcher, item(len(tasks), length=number + 1)))
                    if held is None:
                        held = await begin()
                elif action == "cancel" and waiting:
                    _, value = waiting.pop(number % len(waiting))
                    tasks[value].cancel()
                    await asyncio.wait([tasks[value]])
                elif action == "release" and held is not None:
                    held.release()
                    held = await begin()
                assert batcher.queued == len(waiting)
            while held is not None:
                held.release()
                held = await begin()
            for value, task in enumerate(tasks):
                if not task.cancelled():
                    assert int((await task).outputs["y"][0]) == 3 * value + 1

    asyncio.run(scenario())


@dataclass(frozen=True)
class Sent:
    """One request of a random load."""

    role: str
    length: int
    fate: str  # answered, poisoned, cancelled, expired
    pauses: int  # turns of the event loop before it is sent


SENT = st.builds(
    Sent,
    role=st.sampled_from(["main", "encoder"]),
    length=st.integers(1, 3),
    fate=st.sampled_from(["answered"] * 5 + ["poisoned", "cancelled", "expired"]),
    pauses=st.integers(0, 3),
)


@given(
    load=st.lists(SENT, min_size=1, max_size=40),
    slots=st.integers(1, 4),
    max_batch=st.integers(1, 8),
    durations=st.lists(st.sampled_from([0.0, 0.0, 0.0002, 0.001]), min_size=1, max_size=5),
)
@hypothesis_settings(deadline=None, max_examples=100)
def test_answers_never_cross_requests(
    load: list[Sent], slots: int, max_batch: int, durations: list[float]
) -> None:
    lock = threading.Lock()
    running, ran, problems = 0, set[int](), list[str]()

    def run(role: str, items: Sequence[Arrays], /, *, lone: bool) -> list[Arrays]:
        nonlocal running
        with lock:
            running += 1
            if running > slots or len(items) > max_batch:
                problems.append(f"{running} runs at a time, {len(items)} items")
            if {(role, len(inputs["x"])) for inputs in items} != {(role, len(items[0]["x"]))}:
                problems.append("a batch of several buckets")
            values = [value_of(inputs) for inputs in items]
            if any(load[value].role != role for value in values):
                problems.append("a batch of several roles")
            ran.update(values)
        time.sleep(durations[values[0] % len(durations)])
        with lock:
            running -= 1
        if any(load[value].fate == "poisoned" for value in values):
            raise RuntimeError("poison")
        return [answered(inputs) for inputs in items]

    async def send(batcher: Batcher, value: int, sent: Sent) -> Answer:
        for _ in range(sent.pauses):
            await asyncio.sleep(0)
        seconds = -1.0 if sent.fate == "expired" else FAR
        call: Coroutine[Any, Any, Answer] = batcher.submit(
            sent.role, item(value, sent.length), deadline=time.monotonic() + seconds
        )
        if sent.fate != "cancelled":
            return await call
        task = asyncio.create_task(call)
        await asyncio.sleep(0)
        task.cancel()
        return await task

    async def scenario() -> list[Answer | BaseException]:
        async with batching(run, slots=slots, max_batch=max_batch) as batcher:
            results = await asyncio.gather(
                *(send(batcher, value, sent) for value, sent in enumerate(load)),
                return_exceptions=True,
            )
            assert batcher.queued == 0
            return results

    for value, (sent, result) in enumerate(zip(load, asyncio.run(scenario()), strict=True)):
        match sent.fate:
            case "answered":
                assert isinstance(result, Answer)
                assert result.outputs["y"].tolist() == [3 * value + 1] * sent.length
                assert 1 <= result.batch_size <= max_batch
            case "poisoned":
                assert isinstance(result, InferenceError)
            case "cancelled":
                assert isinstance(result, asyncio.CancelledError)
            case "expired":
                assert isinstance(result, LateError)
                assert value not in ran
    assert not problems


async def test_a_batch_may_hold_items_of_two_event_loops() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)

        async def elsewhere() -> Answer:
            return await batcher.submit("main", item(1), deadline=time.monotonic() + FAR)

        other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(elsewhere())))
        while not batcher.queued:
            await asyncio.sleep(0.001)
        here = await queue(batcher, item(2))
        held.release()
        held = await runs.next()
        assert held.values == [1, 2]
        held.release()
        assert (await here).outputs["y"].tolist() == [7]
        assert (await other).outputs["y"].tolist() == [4]


async def test_an_event_loop_that_ended_meanwhile_harms_no_other() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        (held,) = await busy(batcher, runs)
        gone = asyncio.new_event_loop()

        def start_and_end() -> None:
            submitting = gone.create_task(
                batcher.submit("main", item(1), deadline=time.monotonic() + FAR)
            )
            gone.run_until_complete(asyncio.sleep(0))
            started.set()
            assert end.wait(FAR)
            submitting.cancel()
            gone.run_until_complete(asyncio.wait([submitting]))
            gone.close()

        started, end = threading.Event(), threading.Event()
        thread = threading.Thread(target=start_and_end)
        thread.start()
        await asyncio.to_thread(started.wait, FAR)
        here = await queue(batcher, item(2))
        held.release()
        held = await runs.next()
        assert held.values == [1, 2]
        end.set()
        await asyncio.to_thread(thread.join)
        held.release()
        assert (await here).outputs["y"].tolist() == [7]


async def test_an_idle_slot_keeps_no_picture_alive() -> None:
    runs = HeldRuns()
    async with batching(runs) as batcher:
        inputs = {"x": np.array([1])}
        kept = weakref.ref(inputs["x"])
        task = await queue(batcher, inputs)
        (await runs.next()).release()
        await task
        del inputs, task
        for _ in range(1000):  # the slot's thread lets go in its own time
            if kept() is None:
                break
            await asyncio.sleep(0.001)
        assert kept() is None
