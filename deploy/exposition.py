"""The metrics of several processes in one Prometheus exposition."""

from collections.abc import Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.exposition import exposition

LABEL = "replica"


def merge(expositions: Mapping[str, str]) -> bytes:
    """Put the expositions of several processes together.

    Nothing is added up, so that a scrape can still tell the processes apart and a counter that
    begins anew with its process does not make a sum go backwards.

    Args:
        expositions: in the Prometheus text format, by what tells the processes apart.

    Returns:
        One exposition in which each sample has the label ``replica``.
    """
    families: dict[str, Metric] = {}
    for replica, text in sorted(expositions.items()):
        for family in text_string_to_metric_families(text):
            together = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            together.samples += [
                sample._replace(labels={**sample.labels, LABEL: replica})
                for sample in family.samples
            ]
    return exposition(families.values())
