"""Which variant of a model to serve: measured on the device, among those good enough."""

import logging
import time
from collections.abc import Callable, Mapping

from service.contract import Manifest, Precision
from service.device import Kind
from service.golden import Golden, items
from service.session import Session

log = logging.getLogger(__name__)

# Worth timing on a device: fp16 is slower than fp32 on a CPU, QDQ int8 than both on a GPU.
_CANDIDATES: Mapping[Kind, tuple[Precision, ...]] = {
    "cpu": ("fp32", "int8"),
    "cuda": ("fp32", "fp16"),
}
_TIMED_RUNS = 3

Sessions = Mapping[str, Session]
"""An open session for every role of a model."""


def choose(
    manifest: Manifest,
    golden: Golden,
    open_variant: Callable[[Precision], Sessions],
    *,
    kind: Kind,
    wanted: str,
    max_quality_loss: float,
) -> tuple[Precision, Sessions]:
    """Open the variant to serve.

    Args:
        manifest: of the model.
        golden: its golden arrays, whose inputs are timed.
        open_variant: opens every role at a precision.
        kind: of the device.
        wanted: a precision, or ``"auto"`` for the fastest here whose quality holds.
        max_quality_loss: the share of any fp32 metric that ``auto`` may give up.
    """
    for precision in manifest.precisions:
        if precision == wanted:
            return precision, open_variant(precision)
    if wanted != "auto":
        log.warning("%s has no %s variant; choosing one", manifest.name, wanted)
    candidates = [
        precision
        for precision in _CANDIDATES[kind]
        if precision in manifest.precisions
        and quality_loss(manifest, precision) <= max_quality_loss
    ] or [manifest.precisions[0]]
    opened = {precision: open_variant(precision) for precision in candidates}
    if len(opened) == 1:
        return opened.popitem()
    seconds = {precision: _seconds(sessions, golden) for precision, sessions in opened.items()}
    fastest = min(seconds, key=lambda precision: seconds[precision])
    times = ", ".join(f"{precision} takes {1e3 * s:.1f} ms" for precision, s in seconds.items())
    log.info("%s: %s, so %s is served", manifest.name, times, fastest)
    return fastest, opened[fastest]


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
    """Seconds a lone item takes through every role: the best of a few runs."""

    def once() -> float:
        started = time.perf_counter()
        for role, session in sessions.items():
            session.run(items(golden, role, "input")[:1])
        return time.perf_counter() - started

    once()
    return min(once() for _ in range(_TIMED_RUNS))
