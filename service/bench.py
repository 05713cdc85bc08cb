"""What this machine can do with a model, without HTTP: the limit the service is held against."""

import io
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from service.images import Limits
from service.job import finish, prepare
from service.loading import Model
from service.session import Arrays, Session
from service.task import Prepared, Timing

BATCHES = (2, 8)
"""Pictures a run, beside one, whose throughput is told."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A closed loop's result.

    Attributes:
        per_second: pictures a second, all threads together.
        p50_ms: median time of one picture in its thread.
    """

    per_second: float
    p50_ms: float


def report(model: Model, picture: bytes, limits: Limits, seconds: float) -> str:
    """Measure a model and lay the figures out as a table."""
    cpus = model.device.cpus
    role, inputs = _inputs(model, picture, limits)
    session = model.sessions[role]
    whole = partial(whole_way, model, picture, limits)
    rows = {
        "decode + resize": rate(partial(_inputs, model, picture, limits), 1, seconds),
        "run, narrow, 1 caller": rate(lambda: session.run([inputs]), 1, seconds),
        **{
            f"run, narrow, batches of {count}": _in_batches(session, inputs, count, seconds)
            for count in BATCHES
        },
        f"run, narrow, {cpus} callers": rate(lambda: session.run([inputs]), cpus, seconds),
        "run, wide, 1 caller": rate(lambda: session.run([inputs], lone=True), 1, seconds),
        f"run, wide, {cpus} callers": rate(lambda: session.run([inputs], lone=True), cpus, seconds),
        "whole way, wide, 1 caller": rate(lambda: whole(lone=True), 1, seconds),
        f"whole way, narrow, {cpus} callers": rate(whole, cpus, seconds),
    }
    name = f"{model.manifest.name} {model.precision} on {model.device.kind}, {cpus} CPUs"
    lines = [f"{name:<36}{'pictures/s':>12}{'p50 ms':>10}"]
    lines += [f"{what:<36}{r.per_second:>12.1f}{r.p50_ms:>10.2f}" for what, r in rows.items()]
    return "\n".join([*lines, "The last row is the limit the service is held against."])


def limit(model: Model, picture: bytes, limits: Limits, seconds: float) -> Rate:
    """Decode + run + finish on all CPUs, a thread each, with no HTTP and no queue."""
    return rate(partial(whole_way, model, picture, limits), model.device.cpus, seconds)


def whole_way(model: Model, picture: bytes, limits: Limits, lone: bool = False) -> None:
    """Take one picture all the way in the calling thread."""
    params = model.task.Params()
    prepared = _prepared(model, picture, limits)
    outputs = model.sessions[prepared.role].run([prepared.inputs], lone=lone)[0]
    timing = Timing(decode=0, queue=0, run=0, total=0)
    finish(model, outputs, prepared.placement, timing, params)


def rate(call: Callable[[], object], threads: int, seconds: float) -> Rate:
    """Call in a closed loop from several threads at once."""
    call()
    took: list[list[float]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads + 1)

    def loop(mine: list[float]) -> None:
        start.wait()
        end = time.perf_counter() + seconds
        now = time.perf_counter()
        while not mine or now < end:
            began = now
            call()
            now = time.perf_counter()
            mine.append(now - began)

    workers = [threading.Thread(target=loop, args=(mine,)) for mine in took]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    everything = [one for mine in took for one in mine]
    return Rate(len(everything) / elapsed, 1e3 * statistics.median(everything))


def photograph(width: int, height: int, seed: int = 0, quality: int = 90) -> bytes:
    """A generated JPEG as rich in detail as a photograph, so it weighs and decodes like one."""
    random = np.random.default_rng(seed)
    canvas = Image.new("RGB", (width, height), (110, 140, 170))
    draw = ImageDraw.Draw(canvas)
    for _ in range(120):
        x, y = random.integers(0, width), random.integers(0, height)
        w, h = random.integers(8, width // 3), random.integers(8, height // 3)
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape(
            [float(x), float(y), float(x + w), float(y + h)],
            fill=tuple(random.integers(0, 256, 3).tolist()),
        )
    soft = np.asarray(canvas.filter(ImageFilter.GaussianBlur(2)), np.float32)
    grain = random.normal(0, 6, (height, width, 1)).astype(np.float32)
    buffer = io.BytesIO()
    noisy = np.clip(soft + grain, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _in_batches(session: Session, inputs: Arrays, count: int, seconds: float) -> Rate:
    """Run the same picture several times at once; the figures are of one picture."""
    found = rate(lambda: session.run([inputs] * count), 1, seconds)
    return Rate(found.per_second * count, found.p50_ms / count)


def _inputs(model: Model, picture: bytes, limits: Limits) -> tuple[str, Arrays]:
    prepared = _prepared(model, picture, limits)
    return prepared.role, prepared.inputs


def _prepared(model: Model, picture: bytes, limits: Limits) -> Prepared:
    """A picture made ready; what a run takes from elsewhere is 0, which it takes no longer for."""
    prepared = prepare(model, picture, limits, model.task.Params())
    variant = model.manifest.graphs[prepared.role][model.precision]
    elsewhere = {
        spec.name: np.zeros([n for n in spec.shape[1:] if isinstance(n, int)], spec.dtype)
        for spec in variant.inputs
        if spec.name not in prepared.inputs
    }
    return replace(prepared, inputs={**prepared.inputs, **elsewhere})
