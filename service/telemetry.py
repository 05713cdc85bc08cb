"""Prometheus metrics."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

from service.admission import Admission
from service.batching import Answer, Batcher
from service.device import Device
from service.errors import LateError, SightlineError
from service.tally import Tally
from service.task import Timing
from service.upkeep import Upkeep

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_LABELS = ("task", "model")
_LONG_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

#: Gauges that count what is in the service, so that several workers' are added up. Every other
#: gauge describes one process, and keeps apart by a label ``worker`` where there are several.
ADDED = frozenset({"sightline_queued", "sightline_in_flight"})


class Telemetry:
    """Every metric of one service."""

    def __init__(self) -> None:
        """Create the metrics in a registry of their own."""
        self.registry = CollectorRegistry()
        ours = self.registry
        self.stage = Histogram(
            "sightline_stage_seconds",
            "Time a picture spends in a stage: decode, queue, run, total.",
            (*_LABELS, "stage"),
            buckets=_SECONDS,
            registry=ours,
        )
        self.batch_size = Histogram(
            "sightline_batch_size", "Items a run.", _LABELS, buckets=_SIZES, registry=ours
        )
        self.queued = Gauge(
            "sightline_queued", "Items waiting for a run slot.", _LABELS, registry=ours
        )
        self.in_flight = Gauge(
            "sightline_in_flight", "Items let in and not yet answered.", _LABELS, registry=ours
        )
        self.pictures = Counter(
            "sightline_pictures", "Pictures answered.", (*_LABELS, "outcome"), registry=ours
        )
        self.rejected = Counter(
            "sightline_rejected", "Requests refused as busy.", _LABELS, registry=ours
        )
        self.cancelled = Counter(
            "sightline_cancelled", "Requests whose client left.", _LABELS, registry=ours
        )
        self.late = Counter(
            "sightline_late", "Pictures whose deadline passed.", _LABELS, registry=ours
        )
        self.responses = Counter(
            "sightline_http_responses", "HTTP responses.", ("route", "status"), registry=ours
        )
        self.device = Gauge(
            "sightline_device",
            "1 for the device in use.",
            ("device", "degraded", "cpus"),
            registry=ours,
        )
        self.faults = Counter(
            "sightline_faults",
            "Failed runs, by whose fault: input, memory, session, device, hung.",
            (*_LABELS, "kind"),
            registry=ours,
        )
        self.recovery = Histogram(
            "sightline_recovery_seconds",
            "From finding a model's sessions broken to serving it again.",
            _LABELS,
            buckets=_LONG_SECONDS,
            registry=ours,
        )
        self.oldest_run = Gauge(
            "sightline_oldest_run_seconds",
            "Age of the oldest run under way.",
            _LABELS,
            registry=ours,
        )
        self.recovering = Gauge(
            "sightline_recovering",
            "1 while a model's sessions are being opened again.",
            _LABELS,
            registry=ours,
        )
        ProcessCollector(registry=ours)

    def meter(self, task: str, model: str) -> "Meter":
        """The metrics of one model, their labels filled in."""
        return Meter(self, task, model)

    def describe_device(self, device: Device) -> None:
        """Show the device in use, and whether it is less than the machine promises."""
        self.device.labels(device.kind, str(device.degraded is not None).lower(), device.cpus).set(
            1
        )


class Meter:
    """The metrics of one model. Observing costs a microsecond or two."""

    def __init__(self, telemetry: Telemetry, task: str, model: str) -> None:
        """Look the labelled metrics up once."""
        labels = (task, model)
        self._batch_size = telemetry.batch_size.labels(*labels)
        self._queued = telemetry.queued.labels(*labels)
        self._in_flight = telemetry.in_flight.labels(*labels)
        self._decode, self._queue, self._run, self._total = (
            telemetry.stage.labels(*labels, stage) for stage in Timing.model_fields
        )
        self.answered = telemetry.pictures.labels(*labels, "answered")
        self.failed = telemetry.pictures.labels(*labels, "failed")
        self.rejected = telemetry.rejected.labels(*labels)
        self.cancelled = telemetry.cancelled.labels(*labels)
        self.late = telemetry.late.labels(*labels)
        self.tally = Tally()
        self._faults = {
            kind: telemetry.faults.labels(*labels, kind)
            for kind in ("input", "memory", "session", "device", "hung")
        }
        self._recovery = telemetry.recovery.labels(*labels)
        self._oldest_run = telemetry.oldest_run.labels(*labels)
        self._recovering = telemetry.recovering.labels(*labels)

    def fault(self, kind: str) -> None:
        """Count a failed run by whose fault it was."""
        self._faults[kind].inc()

    def recovered(self, seconds: float) -> None:
        """Record how long a model was away."""
        self._recovery.observe(seconds)

    def watch(self, batcher: Batcher, admission: Admission, upkeep: Upkeep) -> None:
        """Read the queue's gauges from their owners whenever they are scraped."""
        self._queued.set_function(lambda: batcher.queued)
        self._in_flight.set_function(lambda: admission.count)
        self._oldest_run.set_function(upkeep.oldest_s)
        self._recovering.set_function(lambda: upkeep.is_recovering)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Record it if the block, which waits for the answer to one item, raises an error."""
        began = time.monotonic()
        try:
            yield
        except SightlineError as error:
            (self.late if isinstance(error, LateError) else self.failed).inc()
            self.tally.failure(time.monotonic() - began)
            raise

    def batch(self, answers: Sequence[Answer]) -> None:
        """Record one run."""
        self._batch_size.observe(len(answers))
        self.tally.run(answers)

    def timing(self, timing: Timing) -> None:
        """Record where one picture's time went."""
        self._decode.observe(timing.decode / 1e3)
        self._queue.observe(timing.queue / 1e3)
        self._run.observe(timing.run / 1e3)
        self._total.observe(timing.total / 1e3)
        self.answered.inc()
        self.tally.answer(timing)
