"""Which variant of a model to serve: measured on the device, among those good enough."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

from service.contract import Manifest, Precision
from service.device import Kind
from service.errors import GraphError
from service.findings import Candidates
from service.golden import Golden, items
from service.session import Session

log = logging.getLogger(__name__)

# Worth timing on a device: fp16 is slower than fp32 on a CPU, QDQ int8 than both on a GPU.
_CANDIDATES: Mapping[Kind, tuple[Precision, ...]] = {
    "cpu": ("fp32", "int8"),
    "cuda": ("fp32", "fp16"),
}
_TIMED_RUNS = 3

Sessions = MutableMapping[str, Session]
"""An open session for every role of a model; a broken one is replaced in place."""


def choose(
    manifest: Manifest,
    golden: Golden,
    open_variant: Callable[[Precision], Sessions],
    replay: Callable[[Precision, Sessions], float],
    *,
    kind: Kind,
    wanted: str,
    max_quality_loss: float,
    known: MutableMapping[Candidates, Precision],
) -> tuple[Precision, Sessions, float]:
    """Open the variant to serve.

    A variant that ``auto`` could take but whose golden outputs do not come back on this device,
    as int8 on a CPU whose instructions saturate, is left out while another one is right.

    Args:
        manifest: of the model.
        golden: its golden arrays, whose inputs are timed.
        open_variant: opens every role at a precision.
        replay: gives the deviation of an open variant's golden outputs, or raises GraphError.
        kind: of the device.
        wanted: a precision, or ``"auto"`` for the fastest here whose quality holds.
        max_quality_loss: the share of any fp32 metric that ``auto`` may give up.
        known: what was chosen before on this device; what is chosen now is added.

    Returns:
        The precision, its sessions and the deviation of its golden outputs.

    Raises:
        GraphError: a file is not what the manifest says, or no candidate's golden outputs
            come back.
    """
    for precision in manifest.precisions:
        if precision == wanted:
            sessions = open_variant(precision)
            return precision, sessions, replay(precision, sessions)
    if wanted != "auto":
        log.warning("%s has no %s variant; choosing one", manifest.name, wanted)
    candidates = [
        precision
        for precision in _CANDIDATES[kind]
        if precision in manifest.precisions
        and quality_loss(manifest, precision) <= max_quality_loss
    ] or [manifest.precisions[0]]
    key = tuple(_hashes(manifest, candidates))
    if key in known:
        try:
            sessions = open_variant(known[key])
            return known[key], sessions, replay(known[key], sessions)
        except GraphError as error:
            log.warning("%s: what was chosen before fails now: %s", manifest.name, error)
    opened: dict[Precision, tuple[Sessions, float]] = {}
    failures: list[GraphError] = []
    for precision in candidates:
        sessions = open_variant(precision)
        try:
            opened[precision] = sessions, replay(precision, sessions)
        except GraphError as error:
            log.warning("%s: %s is left out on this device: %s", manifest.name, precision, error)
            failures.append(error)
    if not opened:
        raise failures[0]
    fastest = next(iter(opened))
    if len(opened) > 1:
        seconds = dict.fromkeys(opened, math.inf)
        for _ in range(_TIMED_RUNS):  # by turns: what else the machine does slows all alike
            for precision, (each, _) in opened.items():
                seconds[precision] = min(seconds[precision], _seconds(each, golden))
        fastest = min(seconds, key=lambda precision: seconds[precision])
        times = ", ".join(f"{precision} takes {1e3 * s:.1f} ms" for precision, s in seconds.items())
        log.info("%s: %s, so %s is served", manifest.name, times, fastest)
    known[key] = fastest
    return fastest, *opened[fastest]


def _hashes(manifest: Manifest, precisions: Iterable[Precision]) -> Iterator[str]:
    for role in sorted(manifest.graphs):
        for precision in precisions:
            yield manifest.graphs[role][precision].sha256


def quality_loss(manifest: Manifest, precision: Precision) -> float:
    """The largest share of an fp32 metric that a variant gives up; infinite if unmeasured."""
    if precision == "fp32":
        return 0.0
    reference, measured = manifest.quality("fp32"), manifest.quality(precision)
    shared = [name for name in reference if name in measured and reference[name]]
    if not shared:
        return float("inf")
    return max(1 - measured[name] / reference[name] for name in shared)


def _seconds(sessions: Sessions, golden: Golden) -> float:
    """Seconds a single item takes through every role."""
    started = time.perf_counter()
    for role, session in sessions.items():
        session.run(items(golden, role, "input")[:1])
    return time.perf_counter() - started
