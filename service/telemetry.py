"""Prometheus metrics."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.admission import Admission
from service.batching import Answer, Batcher
from service.device import Device
from service.task import Timing

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_LABELS = ("task", "model")


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
        self._watched: dict[tuple[str, str], tuple[tuple[Batcher, Admission], ...]] = {}

    def watch(self, task: str, model: str, batcher: Batcher, admission: Admission) -> None:
        """Read the queue's gauges from their owners whenever they are scraped.

        Of a model that is being replaced there are two for a while, which are added up.
        """
        of_model = task, model
        self._watched[of_model] = (*self._watched.get(of_model, ()), (batcher, admission))
        self.queued.labels(task, model).set_function(
            lambda: sum(batcher.queued for batcher, _ in self._watched[of_model])
        )
        self.in_flight.labels(task, model).set_function(
            lambda: sum(admission.count for _, admission in self._watched[of_model])
        )

    def unwatch(self, task: str, model: str, batcher: Batcher) -> None:
        """Let go of a batcher and its admission."""
        of_model = task, model
        watched = self._watched.get(of_model, ())
        self._watched[of_model] = tuple(pair for pair in watched if pair[0] is not batcher)

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

    def batch(self, answers: Sequence[Answer]) -> None:
        """Record one run."""
        self._batch_size.observe(len(answers))

    def timing(self, timing: Timing) -> None:
        """Record where one picture's time went."""
        self._decode.observe(timing.decode / 1e3)
        self._queue.observe(timing.queue / 1e3)
        self._run.observe(timing.run / 1e3)
        self._total.observe(timing.total / 1e3)
        self.answered.inc()
