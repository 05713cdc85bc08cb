"""From a model's folder to a model that serves: check, open, replay, warm."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.admission import Admission
from service.batching import Answer, Batcher, Share
from service.contract import (
    MAX_ASSET_BYTES,
    FileRef,
    Manifest,
    Precision,
    Variant,
    read_manifest,
)
from service.device import Device
from service.errors import GraphError, ManifestError
from service.findings import Findings
from service.footprint import measure, sized
from service.golden import Expectation, Golden, expectation, items, read_golden, replay
from service.lease import Leases
from service.recall import Recall
from service.run_memory import RunMemory, mib
from service.session import Arrays, open_session
from service.settings import Settings
from service.task import Task
from service.telemetry import Meter, Telemetry
from service.upkeep import Upkeep
from service.variant import Sessions, choose
from service.warming import warm

log = logging.getLogger(__name__)

_RECALL_BYTES = 16 << 20
#: What is expected to wait for longer would often be too late: how long runs take is a mean.
_SHARE_OF_DEADLINE = 0.5
#: More would gain little, and each needs memory of its own.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """A model that serves.

    Attributes:
        manifest: what its folder promises.
        task: the module that prepares and finishes for it.
        precision: of the variant that was chosen.
        device: it runs on.
        batcher: its queue and run slots.
        admission: counts its items in flight.
        meter: its metrics.
        sessions: the open graphs by role, for measurements; requests go through the batcher.
        upkeep: runs them for the batcher, and opens them again when they break.
        assets: the content of each of the manifest's assets.
        deviation: of the replayed golden outputs.
        load_s: seconds it took to load.
        canaries: a golden item of each role, to be run again now and then.
        leases: count the requests that use it, from their first look at it to their answer.
        recall: what its runs gave for pictures that may come again.
    """

    manifest: Manifest
    task: Task
    precision: Precision
    device: Device
    batcher: Batcher
    admission: Admission
    meter: Meter
    sessions: Sessions
    upkeep: Upkeep
    assets: Mapping[str, bytes]
    deviation: float
    load_s: float
    canaries: Mapping[str, Expectation]
    leases: Leases = field(default_factory=Leases)
    recall: Recall = field(default_factory=lambda: Recall(_RECALL_BYTES))


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads models; holds what all of them share.

    Attributes:
        settings: of the service.
        device: to load them on.
        tasks: by name.
        telemetry: for their metrics.
        in_service: counts the items of all models.
        memory: what runs of any size share.
        give_up: ends a process whose device or slot is lost; told why.
        is_restarted: whether another process takes its place at once.
        findings: what was found out about models, here or by another process of the service.
    """

    settings: Settings
    device: Device
    tasks: Mapping[str, Task]
    telemetry: Telemetry
    in_service: Admission
    memory: RunMemory = field(default_factory=RunMemory)
    give_up: Callable[[str], None] = log.critical
    is_restarted: bool = False
    findings: Findings = field(default_factory=Findings)

    def load(self, folder: Path) -> Model:
        """Load the model in ``folder`` and leave it warm.

        Raises:
            ManifestError: the manifest breaks the contract, or it or an asset does not suit its
                task.
            GraphError: a file is missing or altered, a graph does not match its manifest, or
                the golden outputs do not come back.
        """
        started = time.monotonic()
        manifest, assets, task = self._read(folder)
        golden = read_golden(verified(folder, manifest.golden, "golden"))
        precision, sessions, deviation = choose(
            manifest,
            golden,
            partial(self.open, folder, manifest),
            partial(_replay_all, manifest, task, golden),
            kind=self.device.kind,
            wanted=self.settings.precision,
            max_quality_loss=self.settings.max_quality_loss,
            known=self.findings.fastest,
        )
        with ThreadPoolExecutor() as measuring:  # processes of their own do it
            rates = self._rates(folder, manifest, precision, golden, measuring)
            warm(sessions, golden, self.max_batch)
            measured = {role: rate.result() for role, rate in rates.items()}
        share = self._share(manifest, precision, measured)
        canaries = {
            role: expectation(golden, role, precision, variants[precision].parity.tolerance)
            for role, variants in manifest.graphs.items()
        }
        first = {name: array[:1] for name, array in golden.items()}  # one item is canary enough
        reopen = partial(self._reopen, folder, manifest, precision, first)
        canary = partial(_replay_all, manifest, task, first, precision)
        meter = self.telemetry.meter(manifest.task, manifest.name)
        upkeep = Upkeep(
            manifest.name,
            sessions,
            reopen=reopen,
            canary=canary,
            record=meter,
            give_up=self.give_up,
            is_restarted=self.is_restarted,
            recovery_s=time.monotonic() - started,
        )
        model = self._serve(
            manifest, assets, task, precision, upkeep, meter, share, deviation, started, canaries
        )
        log.info(
            "loaded %s version %s as %s on %s in %.2f s",
            manifest.name,
            manifest.version,
            precision,
            self.device.kind,
            model.load_s,
        )
        return model

    @property
    def max_batch(self) -> int:
        """Most items in one run."""
        return self.settings.max_batch or (2 if self.device.kind == "cpu" else 32)

    @property
    def at_once(self) -> int:
        """How many models may be loaded at the same time, while nothing serves."""
        return min(self.device.cpus, _AT_ONCE) if self.device.kind == "cpu" else 1

    def check(self, folder: Path) -> Iterator[tuple[Precision, float, float]]:
        """Replay the golden outputs of every variant.

        Yields:
            Precision, the deviation seen and the deviation tolerated, the largest of all roles.

        Raises:
            ModelError: as load does, at the first variant that fails.
        """
        manifest, _, task = self._read(folder)
        golden = read_golden(verified(folder, manifest.golden, "golden"))
        for precision in manifest.precisions:
            sessions = self.open(folder, manifest, precision)
            deviation = _replay_all(manifest, task, golden, precision, sessions)
            tolerances = (v[precision].parity.tolerance for v in manifest.graphs.values())
            yield precision, deviation, max(tolerances)

    def open(self, folder: Path, manifest: Manifest, precision: Precision) -> Sessions:
        """Open every role's graph at one precision, hashes and signatures checked."""
        sessions = {}
        for role, variants in manifest.graphs.items():
            field = f"{manifest.name}: graphs.{role}.{precision}"
            path = verified(folder, variants[precision], field)
            sessions[role] = open_session(
                path, variants[precision], field, self.device, self.settings.gpu_memory_mib
            )
        return sessions

    def _reopen(
        self, folder: Path, manifest: Manifest, precision: Precision, first: Golden
    ) -> Sessions:
        """Open the graphs once more, with all that a lone request needs."""
        sessions = self.open(folder, manifest, precision)
        warm(sessions, first, 1)
        return sessions

    def _read(self, folder: Path) -> tuple[Manifest, Mapping[str, bytes], Task]:
        manifest = read_manifest(folder)
        task = self.tasks.get(manifest.task)
        if task is None:
            raise ManifestError(
                f"{folder.name}: task: {manifest.task!r} is none of {', '.join(self.tasks)}"
            )
        assets = read_assets(folder, manifest)
        task.check(manifest, assets)
        return manifest, assets, task

    def _rates(
        self,
        folder: Path,
        manifest: Manifest,
        precision: Precision,
        golden: Golden,
        measuring: Executor,
    ) -> Mapping[str, Future[float | None]]:
        """Begin to measure what the roles take whose inputs may be of any size, on a CPU."""
        rates: dict[str, Future[float | None]] = {}
        if self.device.kind != "cpu":
            return rates
        for role, variants in manifest.graphs.items():
            variant = variants[precision]
            if any(spec.is_of_any_size for spec in variant.inputs):
                path, item = folder / variant.file, items(golden, role, "input")[0]
                known = self.findings.footprints
                rates[role] = measuring.submit(measure, path, variant, item, known)
        return rates

    def _share(
        self, manifest: Manifest, precision: Precision, measured: Mapping[str, float | None]
    ) -> Share | None:
        """What runs take of the shared memory; None where inputs are of one size."""
        rates: dict[str, tuple[Variant, float]] = {}
        for role, rate in measured.items():
            if rate is None:
                continue
            rates[role] = manifest.graphs[role][precision], rate
            largest = math.ceil(rate * 3) * manifest.input.height * manifest.input.width
            enough = self.memory.is_enough(largest)
            log.log(
                logging.INFO if enough else logging.WARNING,
                "%s: a run of %s takes %.0f bytes a pixel, %s MiB for the largest picture%s",
                manifest.name,
                role,
                3 * rate,
                f"{mib(largest):,}",
                "" if enough else ", which will be refused: cpu_arena_mib is too small for it",
            )

        def needs(role: str, inputs: Arrays) -> int:
            if role not in rates:
                return 0
            variant, rate = rates[role]
            return math.ceil(rate * sized(variant, inputs))

        return Share(self.memory, needs) if rates else None

    def _serve(
        self,
        manifest: Manifest,
        assets: Mapping[str, bytes],
        task: Task,
        precision: Precision,
        upkeep: Upkeep,
        meter: Meter,
        share: Share | None,
        deviation: float,
        started: float,
        canaries: Mapping[str, Expectation],
    ) -> Model:
        slots = self.settings.slots or (self.device.cpus if self.device.kind == "cpu" else 2)
        capacity = self.settings.queue_size + slots * self.max_batch
        admission = Admission(
            capacity,
            parent=self.in_service,
            patience_s=_SHARE_OF_DEADLINE * self.settings.timeout_s,
            at_ease=slots,
        )

        def on_batch(answers: Sequence[Answer]) -> None:
            admission.observe(answers[0].run_s / (len(answers) * slots))
            meter.batch(answers)

        batcher = Batcher(
            upkeep.run,
            name=manifest.name,
            slots=slots,
            max_batch=self.max_batch,
            capacity=capacity,
            is_lone=lambda: self.in_service.count <= 1,
            on_batch=on_batch,
            share=share,
        )
        self.telemetry.watch(manifest.task, manifest.name, batcher, admission, upkeep)
        return Model(
            manifest,
            task,
            precision,
            self.device,
            batcher,
            admission,
            meter,
            upkeep.sessions,
            upkeep,
            assets,
            deviation,
            load_s=time.monotonic() - started,
            canaries=canaries,
        )


def read_assets(folder: Path, manifest: Manifest) -> Mapping[str, bytes]:
    """The content of every asset of a model, by its name in the manifest.

    Raises:
        ManifestError: one is larger than MAX_ASSET_BYTES.
        GraphError: as verified.
    """
    contents = {}
    for name, ref in manifest.assets.items():
        field = f"{manifest.name}: assets.{name}"
        path = verified(folder, ref, field)
        size = path.stat().st_size
        if size > MAX_ASSET_BYTES:
            raise ManifestError(
                f"{field}.file: {path} has {size:,} bytes; at most {MAX_ASSET_BYTES:,} are read"
            )
        contents[name] = path.read_bytes()
    return contents


def verified(folder: Path, ref: FileRef, field: str) -> Path:
    """The path of a file, once its hash is the manifest's.

    Raises:
        GraphError: it cannot be read or is not the file that was meant.
    """
    path = folder / ref.file
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GraphError(f"{field}.file: {path} cannot be read ({error.strerror})") from error
    if digest != ref.sha256:
        raise GraphError(f"{field}.sha256: {path} has {digest}, the manifest {ref.sha256}")
    return path


def _replay_all(
    manifest: Manifest, task: Task, golden: Golden, precision: Precision, sessions: Sessions
) -> float:
    return max(
        replay(session, manifest.graphs[role][precision], role, precision, golden, task.deviation)
        for role, session in sessions.items()
    )
