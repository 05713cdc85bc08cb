"""Several workers' metrics as those of one service."""

import asyncio
import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.parser import text_string_to_metric_families

from service.channel import Collected
from service.exposition import added_up, exposition, lasting
from service.ledger import Ledger


class Worker:
    """A worker's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.done = Counter("done", "Done.", ("how",), registry=self.registry)
        self.took = Histogram("took", "Took.", buckets=(1, 2), registry=self.registry)
        self.queued = Gauge("queued", "Queued.", registry=self.registry)
        self.load = Gauge("load", "Load.", ("kind",), registry=self.registry)

    def metrics(self) -> list[Metric]:
        return list(self.registry.collect())


def values(metrics: list[Metric]) -> dict[str, float]:
    """Samples as the text shows them, but for when they were created."""
    lines = exposition(metrics).decode().splitlines()
    shown = [line for line in lines if not line.startswith("#") and "_created" not in line]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in shown)}


def two() -> tuple[Worker, Worker]:
    first, second = Worker(), Worker()
    first.done.labels("well").inc(2)
    second.done.labels("well").inc(3)
    second.done.labels("badly").inc()
    first.took.observe(0.5)
    second.took.observe(1.5)
    second.took.observe(9)
    first.queued.set(4)
    second.queued.set(5)
    first.load.labels("a").set(0.25)
    second.load.labels("a").set(0.5)
    return first, second


def test_what_is_counted_is_added_up_and_what_describes_a_process_keeps_apart() -> None:
    first, second = two()
    merged = added_up({"0": first.metrics(), "1": second.metrics()}, frozenset({"queued"}))
    assert values(merged) == {
        'done_total{how="well"}': 5,
        'done_total{how="badly"}': 1,
        'took_bucket{le="1.0"}': 1,
        'took_bucket{le="2.0"}': 2,
        'took_bucket{le="+Inf"}': 3,
        "took_count": 3,
        "took_sum": 11,
        "queued": 9,
        'load{kind="a",worker="0"}': 0.25,
        'load{kind="a",worker="1"}': 0.5,
    }
    created = [s.value for m in merged for s in m.samples if s.name == "took_created"]
    alone = [s.value for m in first.metrics() for s in m.samples if s.name == "took_created"]
    assert created == alone  # since the first of them


def test_the_text_is_one_that_prometheus_reads() -> None:
    first, second = two()
    text = exposition(added_up({"0": first.metrics(), "1": second.metrics()})).decode()
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert (kinds["done"], kinds["took"], kinds["load"]) == ("counter", "histogram", "gauge")
    assert len(re.findall("^# TYPE done_total ", text, re.MULTILINE)) == 1


def test_only_what_was_counted_outlasts_a_worker() -> None:
    assert {metric.name for metric in lasting(two()[0].metrics())} == {"done", "took"}


async def test_the_ledger_keeps_what_workers_counted_that_are_gone() -> None:
    first, second = two()
    ledger = Ledger(lambda: 2, lambda: 1)
    ledger.report(0, Collected(0, first.metrics()))
    ledger.report(1, Collected(0, second.metrics()))
    ledger.depart(1)
    found = values(ledger.metrics())
    assert found['done_total{how="well"}'] == 5
    assert 'load{kind="a",worker="1"}' not in found
    fresh = Worker()
    fresh.done.labels("well").inc()
    ledger.report(1, Collected(0, fresh.metrics()))
    ledger.depart(1)
    found = values(ledger.metrics())
    assert found['done_total{how="well"}'] == 6
    assert found["took_count"] == 3
    assert found["sightline_workers"] == 2
    assert found["sightline_spare_workers"] == 1
    assert found['sightline_worker_restarts_total{reason="hung"}'] == 0
    assert found['process_open_fds{worker="supervisor"}'] > 0


async def test_a_report_that_is_waited_for_may_come_under_a_new_name() -> None:
    ledger = Ledger(lambda: 2, lambda: 0)
    waiting = asyncio.create_task(ledger.collected(7, {2}, 60.0))
    await asyncio.sleep(0)
    ledger.rename(2, 0)
    ledger.report(0, Collected(7, []))
    await asyncio.wait_for(waiting, 30.0)


async def test_the_ledger_waits_for_those_who_were_asked_unless_they_are_gone_or_late() -> None:
    ledger = Ledger(lambda: 3, lambda: 1)
    waiting = asyncio.create_task(ledger.collected(7, {0, 1, 2}, 60.0))
    await asyncio.sleep(0)
    ledger.report(0, Collected(7, []))
    ledger.report(1, Collected(0, []))  # which was not asked for
    ledger.depart(2)
    await asyncio.sleep(0)
    assert not waiting.done()
    ledger.report(1, Collected(7, []))
    await asyncio.wait_for(waiting, 60)
    await ledger.collected(8, {0}, 0.001)
    await ledger.collected(9, set(), 60.0)
