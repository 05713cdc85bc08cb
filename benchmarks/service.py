"""Requests a second and latency of the service, beside the limit without HTTP in the same run.

make bench
python -m benchmarks.service --model imagenet-small --seconds 20 --image photo.jpg

The model's task decides the endpoint; a stylizer is asked for its first preset, and
its limit leaves out the writing of pictures.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import mean, median

from benchmarks.load import ROOT, free_port, multipart, running, wrk
from benchmarks.overload import overload
from service.bench import photograph
from service.contract import read_manifest
from service.loading import read_assets
from service.settings import Settings
from service.tasks.stylize import NAME as STYLIZE
from service.tasks.stylize import presets_of

CONNECTIONS = (1, 8, 32, 64)
ROUNDS = 3


def main() -> None:
    """Run the benchmark and print a report in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="imagenet", help="default: imagenet")
    parser.add_argument("--image", type=Path, help="default: a generated 640x480 JPEG")
    parser.add_argument("--seconds", type=float, default=10.0, help="a measurement; default: 10")
    parser.add_argument("--no-overload", action="store_true", help="skip the overload part")
    options = parser.parse_args()
    picture = options.image.read_bytes() if options.image else photograph(640, 480)
    report(options.model, picture, options.seconds, with_overload=not options.no_overload)


def report(model: str, picture: bytes, seconds: float, *, with_overload: bool) -> None:
    """Measure and print.

    A shared machine drifts by tens of percent within minutes, so load and limit take turns in
    short pieces, and a row is held against the limits measured between its own pieces.
    """
    port = free_port()
    path = path_of(model)
    url = f"http://127.0.0.1:{port}{path}"
    body = multipart(picture)
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    piece = max(1, round(seconds / ROUNDS))  # wrk counts whole ones
    with running(command, f"http://127.0.0.1:{port}/readyz"):
        wrk(url, body, 8, 2)  # warm
        print(f"Model {model}, picture of {len(picture):,} bytes, {seconds:g} s a row.\n")
        head = (
            "connections",
            "requests/s",
            "limit",
            "share",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "errors",
        )
        print(f"| {' | '.join(head)} |")
        print("|---:|---:|---:|---:|---:|---:|---:|---:|")
        for connections in CONNECTIONS:
            loads, limits = [], [measure_limit(model, picture, piece)]
            for _ in range(ROUNDS):
                loads.append(wrk(url, body, connections, piece))
                limits.append(measure_limit(model, picture, piece))
            rate, limit = mean(load.per_second for load in loads), mean(limits)
            print(
                f"| {connections} | {rate:.1f} | {limit:.1f} | {rate / limit:.2f} "
                f"| {median(load.p50_ms for load in loads):.1f} "
                f"| {median(load.p95_ms for load in loads):.1f} "
                f"| {median(load.p99_ms for load in loads):.1f} "
                f"| {sum(load.errors for load in loads)} |",
                flush=True,
            )
        print(
            "\nLimit: decode + run + finish on all cores with no HTTP, in pictures/s; share: of it."
        )
        if with_overload:
            report_overload(port, path, body, 3 * rate, seconds)


def report_overload(port: int, path: str, body: bytes, rate: float, seconds: float) -> None:
    """Offer three times what the last row got, in an open loop."""
    result = overload("127.0.0.1", port, path, body, rate, seconds)
    print(f"\nOpen loop at {rate:.0f} requests/s (3 times saturation) for {seconds:g} s:\n")
    print("| status | answers | p50 ms | p99 ms | max ms |")
    print("|---:|---:|---:|---:|---:|")
    for status, values in sorted(result.latencies_ms.items()):
        p50, p99 = result.percentile(status, 50), result.percentile(status, 99)
        print(f"| {status} | {len(values)} | {p50:.1f} | {p99:.1f} | {max(values):.1f} |")


def path_of(model: str) -> str:
    """Where the server, which runs in ROOT, is asked for a model's answers."""
    folder = ROOT / Settings().models / model
    manifest = read_manifest(folder)
    path = f"/{manifest.task}?model={model}"
    presets = presets_of(read_assets(folder, manifest)) if manifest.task == STYLIZE else {}
    return "&style=".join((path, *list(presets)[:1]))


def measure_limit(model: str, picture: bytes, seconds: float) -> float:
    """Pictures a second without HTTP, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.limit", model, str(seconds)]
    result = subprocess.run(command, cwd=ROOT, input=picture, capture_output=True, check=True)
    return float(result.stdout)


if __name__ == "__main__":
    main()
