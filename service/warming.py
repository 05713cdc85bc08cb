"""First runs, before requests come: what a runtime does once for a shape is done by then."""

import logging
from collections.abc import Iterator

from service.errors import InferenceError
from service.golden import Golden, items
from service.variant import Sessions

log = logging.getLogger(__name__)


def warm(sessions: Sessions, golden: Golden, max_batch: int) -> None:
    """Run every role on its golden inputs in batches of several sizes, the largest among them.

    The smallest is run as a lone request's is, which opens what only those need. A batch that fails
    is told in the log and no more: a model's batches are halved where one is too large for the
    memory there is, and the items alone have been run by ``golden.replay``.

    Args:
        sessions: open graphs by role.
        golden: the arrays of the model's golden file.
        max_batch: most items in one run.
    """
    for role, session in sessions.items():
        given = items(golden, role, "input")
        for size in batch_sizes(max_batch):
            try:
                # One item comes alone; run beside others it has been by ``golden.replay``.
                session.run([given[index % len(given)] for index in range(size)], lone=size == 1)
            except InferenceError:
                log.warning("%s cannot run %d items at once here; batches are halved", role, size)
                break


def batch_sizes(max_batch: int) -> Iterator[int]:
    """The powers of two below ``max_batch``, and that itself."""
    size = 1
    while size < max_batch:
        yield size
        size *= 2
    yield max_batch
