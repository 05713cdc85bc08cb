"""The metrics of one process or of several, in the Prometheus text format.

Several workers' counters and histograms are added up, and so are the gauges that count what is in
the service. Every other gauge describes one process and keeps apart by a label ``worker``.
"""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_CUMULATIVE = frozenset({"counter", "histogram", "summary"})
_CREATED = "_created"

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels in order."""


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The text for a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(metrics))
    return generate_latest(registry)


def added_up(
    workers: Mapping[str, Sequence[Metric]], added_gauges: frozenset[str] = frozenset()
) -> list[Metric]:
    """Several workers' metrics as those of one service.

    Args:
        workers: the metrics of each, by what the label ``worker`` is to say.
        added_gauges: names of the gauges whose values are added up.
    """
    merged: dict[str, Metric] = {}
    values: dict[str, dict[Series, float]] = {}
    for worker, metrics in workers.items():
        for metric in metrics:
            if metric.name not in merged:
                merged[metric.name] = Metric(
                    metric.name, metric.documentation, metric.type, metric.unit
                )
                values[metric.name] = {}
            is_added = metric.type in _CUMULATIVE or metric.name in added_gauges
            of_metric = values[metric.name]
            for sample in metric.samples:
                labels = sample.labels if is_added else {**sample.labels, "worker": worker}
                series = sample.name, tuple(labels.items())
                if sample.name.endswith(_CREATED):
                    value = min(of_metric.get(series, sample.value), sample.value)
                else:
                    value = of_metric.get(series, 0.0) + sample.value
                of_metric[series] = value
    for name, metric in merged.items():
        metric.samples = [
            Sample(of, dict(labels), value) for (of, labels), value in values[name].items()
        ]
    return list(merged.values())


def lasting(metrics: Iterable[Metric]) -> list[Metric]:
    """What stays of a worker's metrics when it is gone: what it has counted."""
    return [metric for metric in metrics if metric.type in _CUMULATIVE]


class _Collected(Collector):
    """Metrics that have been collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
