"""Minutes of mixed requests at saturation: nothing may fail, no memory may grow.

python -m benchmarks.soak --minutes 10
python -m benchmarks.soak --minutes 3 --workers 2 --kill-worker

Every connection sends its next request once the last one is answered, to all tasks in turn. A
memory slope is a straight line through the resident memory of all the server's processes after the
first fifth of the time, in percent of it over the rest. The exit status is 1 if a bar is missed.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.load import free_port, running
from benchmarks.memory import Memory, children
from benchmarks.mixture import Call, Seen, calls_of, read_answer, request

#: Statuses that are answers: done, or busy and told so.
FINE = frozenset({200, 429})
#: A connection that broke.
BROKEN = -1
MOST_GROWTH_PERCENT = 1.0
SETTLING = 0.2
#: Several workers on few cores take a while to load every model there is.
_START_S = 300.0
_RECOVERY_S = 120.0
_SCRAPE_BYTES = 16 << 20


@dataclass(slots=True)
class Soak:
    """What a soak found; times in seconds since its start.

    Attributes:
        seen: by the requests' name.
        memory: samples of the server's resident memory.
        broken_at: when connections broke.
        killed_at: when a worker was killed; None if none was.
        recovered_at: when there were as many workers again.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    broken_at: list[float] = field(default_factory=list)
    killed_at: float | None = None
    recovered_at: float | None = None


def main() -> int:
    """Run a soak, print its report, write its JSON and its plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="default: 10")
    parser.add_argument("--connections", type=int, default=16, help="default: 16")
    parser.add_argument("--workers", type=int, default=1, help="of the server; default: 1")
    parser.add_argument("--kill-worker", action="store_true", help="kill one half way")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="default: ./soak")
    options = parser.parse_args()
    if options.kill_worker and options.workers < 2:
        parser.error("--kill-worker needs --workers 2 or more")
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    command += ["--workers", str(options.workers)]
    with running(command, f"http://127.0.0.1:{port}/readyz", start_s=_START_S) as process:
        soak = uvloop.run(
            _soak(
                port,
                process.pid,
                60 * options.minutes,
                options.connections,
                workers=options.workers,
                kill=options.kill_worker,
            )
        )
    options.out.mkdir(parents=True, exist_ok=True)
    write(soak, options.out, vars(options))
    return report(soak, options.minutes)


async def _soak(
    port: int, pid: int, seconds: float, connections: int, *, workers: int, kill: bool
) -> Soak:
    calls = calls_of(port)
    soak = Soak({call.name: Seen() for call in calls})
    began = time.perf_counter()
    end = began + seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(soak.memory.watch(pid, end))
        if kill:
            group.create_task(_kill(soak, port, pid, began, began + seconds / 2, workers))
        for number in range(connections):
            turn = calls[number % len(calls) :] + calls[: number % len(calls)]
            group.create_task(_client(soak, port, turn, began, end))
    return soak


async def _client(soak: Soak, port: int, calls: list[Call], began: float, end: float) -> None:
    """One connection, opened again when it breaks."""
    reader = writer = None
    turn = 0
    while time.perf_counter() < end:
        call = calls[turn % len(calls)]
        turn += 1
        sent = time.perf_counter()
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(call.data)
            status = await read_answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            status = BROKEN
            soak.broken_at.append(time.perf_counter() - began)
            if writer is not None:
                writer.close()
            reader = writer = None
        seen = soak.seen[call.name]
        seen.statuses[status] += 1
        if status == 200:
            seen.latencies_ms.append(1e3 * (time.perf_counter() - sent))
        elif status == 429:
            await asyncio.sleep(0.05)  # it was told to come back later
    if writer is not None:
        writer.close()


async def _kill(soak: Soak, port: int, pid: int, began: float, when: float, workers: int) -> None:
    """Kill a worker, and wait until there are as many that accept connections again."""
    await asyncio.sleep(when - time.perf_counter())
    os.kill(children(pid)[0], signal.SIGKILL)
    soak.killed_at = time.perf_counter() - began
    patience = time.perf_counter() + _RECOVERY_S
    while soak.recovered_at is None and time.perf_counter() < patience:
        await asyncio.sleep(0.05)
        if await _has_recovered(port, workers):
            soak.recovered_at = time.perf_counter() - began


async def _has_recovered(port: int, workers: int) -> bool:
    """Whether a worker has taken the place of another, and all of them accept connections."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_SCRAPE_BYTES)
    except OSError:
        return False
    try:
        writer.write(request(port, "GET", "/metrics"))
        await reader.readuntil(b"\r\n\r\n")
        text = await reader.readuntil(b"sightline_worker_recovery_seconds_sum")
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()
    recovered = b"sightline_worker_recovery_seconds_count 1.0" in text
    return recovered and f"\nsightline_workers {workers}.0".encode() in text


def report(soak: Soak, minutes: float) -> int:
    """Print what was found, in Markdown; 1 if a bar was missed."""
    print("| request | answers | 429 | other | p50 ms | p99 ms | max ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, seen in soak.seen.items():
        other = sum(count for status, count in seen.statuses.items() if status not in FINE)
        print(
            f"| {name} | {seen.statuses[200]} | {seen.statuses[429]} | {other} "
            f"| {seen.percentile(50):.1f} | {seen.percentile(99):.1f} "
            f"| {max(seen.latencies_ms, default=float('nan')):.1f} |"
        )
    failures = Counter[int]()
    for seen in soak.seen.values():
        failures.update({s: n for s, n in seen.statuses.items() if s not in FINE})
    growth = soak.memory.growth_percent(SETTLING)
    answers = sum(seen.statuses[200] for seen in soak.seen.values())
    print(
        f"\n{minutes:g} minutes, {answers} answers, failures by status: {dict(failures) or 'none'}."
        f" Resident memory {soak.memory.mean_mib(SETTLING):.0f} MiB, slope {growth:+.2f} %."
    )
    allowed_broken = 0
    if soak.killed_at is not None and soak.recovered_at is not None:
        print(
            f"A worker was killed after {soak.killed_at:.0f} s: {len(soak.broken_at)} requests in "
            f"flight were lost, all workers were there again after "
            f"{soak.recovered_at - soak.killed_at:.2f} s."
        )
        allowed_broken = len(soak.broken_at)
    missed = sum(failures.values()) > allowed_broken
    missed |= soak.killed_at is not None and soak.recovered_at is None
    # A worker that starts again begins with less memory; the line through that says nothing.
    missed |= soak.killed_at is None and growth > MOST_GROWTH_PERCENT
    return int(missed)


def write(soak: Soak, folder: Path, options: dict[str, object]) -> None:
    """Write ``soak.json`` and ``soak.png``."""
    found = {
        "options": {name: str(value) for name, value in options.items()},
        "memory_growth_percent": soak.memory.growth_percent(SETTLING),
        "memory": asdict(soak.memory),
        "killed_at_s": soak.killed_at,
        "recovered_at_s": soak.recovered_at,
        "broken_at_s": soak.broken_at,
        "requests": {
            name: {
                "statuses": dict(seen.statuses),
                "p50_ms": seen.percentile(50),
                "p99_ms": seen.percentile(99),
            }
            for name, seen in soak.seen.items()
        },
    }
    (folder / "soak.json").write_text(json.dumps(found, indent=1))
    plot(soak, folder / "soak.png")


def plot(soak: Soak, path: Path) -> None:
    """Draw memory over time and the distribution of each request's latencies."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 7), layout="constrained")
    above.plot(soak.memory.at_s, np.array(soak.memory.resident_bytes) / (1 << 20))
    above.set(xlabel="s", ylabel="resident MiB", ylim=(0, None), title="Memory of the server")
    if soak.killed_at is not None:
        above.axvline(soak.killed_at, color="tab:red", linestyle=":", label="worker killed")
        above.legend()
    names = [name for name, seen in soak.seen.items() if seen.latencies_ms]
    below.boxplot(
        [soak.seen[name].latencies_ms for name in names],
        tick_labels=names,
        whis=(1, 99),
        showfliers=False,
        orientation="horizontal",
    )
    below.set(xscale="log", xlabel="ms", title="Latency: quartiles, 1st to 99th percentile")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
