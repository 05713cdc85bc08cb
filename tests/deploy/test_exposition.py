import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deploy.exposition import merge


def exposition(pictures: int, *, histogram: bool = True) -> str:
    registry = CollectorRegistry()
    counter = Counter("pictures", "Pictures\nanswered.", ["model"], registry=registry)
    counter.labels('a "b"').inc(pictures)
    Gauge("queued", "Waiting.", registry=registry).set(pictures / 2)
    if histogram:
        seconds = Histogram("seconds", "Time.", buckets=(1, 2), registry=registry)
        seconds.observe(1.5)
    return generate_latest(registry).decode()


def samples(text: bytes) -> dict[tuple[str, str, str | None], float]:
    return {
        (sample.name, sample.labels["replica"], sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_each_replica_keeps_its_own_samples() -> None:
    merged = merge({"b": exposition(5), "a": exposition(3, histogram=False)})
    found = samples(merged)
    assert found["pictures_total", "a", None] == 3
    assert found["pictures_total", "b", None] == 5
    assert found["queued", "a", None] == 1.5
    assert found["seconds_bucket", "b", "2.0"] == 1
    assert ("seconds_bucket", "a", "2.0") not in found


def test_a_family_is_declared_once_with_its_type() -> None:
    text = merge({"a": exposition(1), "b": exposition(2)}).decode()
    for line in (
        "# TYPE pictures_total counter",
        "# TYPE seconds histogram",
        "# TYPE queued gauge",
    ):
        assert text.count(line) == 1
    assert 'model="a \\"b\\""' in text


@pytest.mark.parametrize("given", [{}, {"a": ""}])
def test_without_metrics_there_are_none(given: dict[str, str]) -> None:
    assert merge(given) == b""
