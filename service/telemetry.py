"""Prometheus metrics."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

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
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_LABELS = ("task", "model")
_LONG_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

#: Gauges that count what is in the service, so that several workers' are added up. Every other
#: gauge describes one process, and keeps apart by a label ``worker`` where there are several.
ADDED = frozenset({"sightline_queued", "sightline_in_flight"})


class Watched(NamedTuple):
    """Whom the gauges of a model are read from."""

    batcher: Batcher
    admission: Admission
    upkeep: Upkeep


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
        self.loads = Counter(
            "sightline_model_loads",
            "Model folders loaded, or refused because they cannot be served.",
            ("model", "outcome"),
            registry=ours,
        )
        self.load_s = Histogram(
            "sightline_model_load_seconds",
            "Time to check, open, replay and warm a model.",
            ("model",),
            buckets=_LOAD_SECONDS,
            registry=ours,
        )
        self.version = Gauge(
            "sightline_model_version",
            "Version that serves; 0 once it is unloaded.",
            _LABELS,
            registry=ours,
        )
        self.refused = Gauge(
            "sightline_model_refused",
            "1 while what is in a model's folder is refused, even if what was there before serves.",
            ("model",),
            registry=ours,
        )
        self.draining = Gauge(
            "sightline_models_draining",
            "Models that requests still use but none new: replaced or unloaded.",
            registry=ours,
        )
        self._watched: dict[tuple[str, str], tuple[Watched, ...]] = {}

    def watch(
        self, task: str, model: str, batcher: Batcher, admission: Admission, upkeep: Upkeep
    ) -> None:
        """Read the gauges of a model from their owners whenever they are scraped.

        Of a model that is being replaced there are two for a while: what counts is added up, of
        ages the greater is told.
        """
        of_model = task, model
        self._watched[of_model] = (
            *self._watched.get(of_model, ()),
            Watched(batcher, admission, upkeep),
        )

        def told(gauge: Gauge, value: Callable[[Iterable[Watched]], float]) -> None:
            gauge.labels(task, model).set_function(lambda: value(self._watched[of_model]))

        told(self.queued, lambda each: sum(w.batcher.queued for w in each))
        told(self.in_flight, lambda each: sum(w.admission.count for w in each))
        told(self.oldest_run, lambda each: max((w.upkeep.oldest_s() for w in each), default=0))
        told(self.recovering, lambda each: any(w.upkeep.is_recovering for w in each))

    def unwatch(self, task: str, model: str, batcher: Batcher) -> None:
        """Let go of a batcher and of what is read beside it."""
        of_model = task, model
        watched = self._watched.get(of_model, ())
        self._watched[of_model] = tuple(each for each in watched if each.batcher is not batcher)

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

    def fault(self, kind: str) -> None:
        """Count a failed run by whose fault it was."""
        self._faults[kind].inc()

    def recovered(self, seconds: float) -> None:
        """Record how long a model was away."""
        self._recovery.observe(seconds)

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
