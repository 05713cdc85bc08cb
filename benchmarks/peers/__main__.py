"""Sightline beside other servers, all in one run on the same fp32 file and the same picture.

make bench-peers
python -m benchmarks.peers --model imagenet --seconds 20
"""

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import ROOT, Load, free_port, multipart, running, wrk
from service.bench import photograph
from service.settings import Settings

CONNECTIONS = (1, 8, 32)


@dataclass(frozen=True)
class Peer:
    """A server and how to start it; ``{port}`` stands for its port."""

    name: str
    command: tuple[str, ...]
    path: str
    ready: str
    form_field: str
    env: dict[str, str] = field(default_factory=dict)


def peers(model: Path, cpus: int) -> list[Peer]:
    """Every server under test."""
    python = sys.executable
    uvicorn = (python, "-m", "uvicorn", "benchmarks.peers.threaded:app", "--port", "{port}")
    threaded = (*uvicorn, "--no-access-log", "--log-level", "error")
    litserve = (python, "-m", "benchmarks.peers.litserve_app")
    sightline = (python, "-m", "service", "serve", "--port", "{port}", "--log-level", "error")
    classify = f"/classify?model={model.name}"

    def peer(name: str, command: tuple[str, ...], threads: int, **more: str) -> Peer:
        env = {"PEER_MODEL": str(model), "PEER_THREADS": str(threads), **more}
        return Peer(name, command, "/predict", "/health", "request", env)

    workers = str(cpus)
    return [
        Peer("Sightline", sightline, classify, "/readyz", "file"),
        Peer("Sightline, fp32", (*sightline, "--precision", "fp32"), classify, "/readyz", "file"),
        peer("FastAPI, 1 thread a run", threaded, 1),
        peer(f"FastAPI, {cpus} threads a run", threaded, cpus),
        peer("LitServe, a worker a CPU", litserve, 1, PEER_WORKERS=workers),
        peer(f"LitServe, 1 worker, {cpus} threads", litserve, cpus, PEER_WORKERS="1"),
        peer("LitServe, batches of 8", litserve, 1, PEER_WORKERS=workers, PEER_BATCH="8"),
    ]


def measure(peer: Peer, picture: bytes, seconds: float) -> list[Load]:
    """Load one server at every number of connections."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    body = multipart(picture, peer.form_field)
    command = [part.format(port=port) for part in peer.command]
    with running(command, base + peer.ready, {**peer.env, "PEER_PORT": str(port)}):
        wrk(base + peer.path, body, 8, 2)  # warm
        return [wrk(base + peer.path, body, count, seconds) for count in CONNECTIONS]


def main() -> None:
    """Measure all and print a report in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="imagenet", help="default: imagenet")
    parser.add_argument("--seconds", type=float, default=10.0, help="a measurement; default: 10")
    options = parser.parse_args()
    settings = Settings()
    cpus = settings.cpus or len(os.sched_getaffinity(0))
    picture = photograph(640, 480)
    folder = (ROOT / settings.models / options.model).resolve()
    print(f"Model {options.model}, picture of {len(picture):,} bytes, {cpus} CPUs.\n")
    columns = " | ".join(f"r/s at {count} | p50 ms at {count}" for count in CONNECTIONS)
    print(f"| server | {columns} | errors |")
    print("|---|" + "---:|" * (2 * len(CONNECTIONS) + 1))
    results = {}
    for peer in peers(folder, cpus):
        loads = measure(peer, picture, options.seconds)
        results[peer.name] = loads
        cells = " | ".join(f"{load.per_second:.1f} | {load.p50_ms:.1f}" for load in loads)
        print(f"| {peer.name} | {cells} | {sum(load.errors for load in loads)} |", flush=True)
    others = [loads for name, loads in results.items() if not name.startswith("Sightline")]
    ours = results["Sightline"]
    rate = ours[-1].per_second / max(loads[-1].per_second for loads in others)
    print(f"\nAt {CONNECTIONS[-1]} connections Sightline answers {rate:.2f} times as many requests "
          "as the best peer.")  # fmt: skip
    print(f"At 1 connection its median is {ours[0].p50_ms:.1f} ms, the best peer's "
          f"{min(loads[0].p50_ms for loads in others):.1f} ms.")  # fmt: skip


if __name__ == "__main__":
    main()
