"""A worker's share of what the settings grant the whole service."""

import math

from service.device import available_cpus
from service.settings import Settings


def shares(settings: Settings) -> list[Settings]:
    """The settings of each worker.

    What bounds the service is divided: CPUs, queues, connections, arenas, the memory for bodies.
    What describes one run or one request stays as it is, ``slots`` and ``max_batch`` among it.
    Every worker has at least one CPU and room for one largest body.
    """
    count = settings.workers
    if count == 1:
        return [settings]
    cpus = settings.cpus or available_cpus()
    divided = {
        "queue_size": math.ceil(settings.queue_size / count),
        "max_connections": math.ceil(settings.max_connections / count),
        "max_bodies_mib": max(
            math.ceil(settings.max_bodies_mib / count), math.ceil(settings.max_body_mib)
        ),
        "cpu_arena_mib": math.ceil(settings.cpu_arena_mib / count),
    }
    return [
        settings.model_copy(
            update={**divided, "cpus": max(1, cpus // count + (number < cpus % count))}
        )
        for number in range(count)
    ]
