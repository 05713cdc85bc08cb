"""What a thousand swaps of a model's versions leave behind, and what they cost its requests.

python -m benchmarks.swaps
python -m benchmarks.swaps --model imagenet --swaps 100 --clients 1 --plot swaps.png

Two versions of a shipped model take each other's place by request while clients ask for it all the
time. Memory, threads and open files of the server are read after every swap, the latency of every
request by whether a version was being loaded. At the end the model is unloaded. ``--plot`` needs
matplotlib (make train-env).
"""

import argparse
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.load import BOUNDARY, ROOT, free_port, multipart, running
from service.bench import photograph
from service.contract import MANIFEST_FILE, read_manifest

_FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(slots=True)
class Seen:
    """What was seen of a server.

    Attributes:
        rss_mib: resident memory after each swap; the first is before all of them.
        threads: after each swap.
        files: open after each swap.
        load_s: seconds each swap took.
        statuses: of the clients' requests.
        latencies_ms: of those answered, by whether a version was being loaded.
        loading: whether one is.
    """

    rss_mib: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    load_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    loading: bool = False

    def look(self, pid: int) -> None:
        """Read the server's figures from /proc."""
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        figures = {line.partition(":")[0]: line.split()[1] for line in status if " kB" in line}
        self.rss_mib.append(int(figures["VmRSS"]) / 1024)
        self.threads.append(len(list(Path(f"/proc/{pid}/task").iterdir())))
        self.files.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mnist", help="a name, or a folder; default: mnist")
    parser.add_argument("--swaps", type=int, default=1000, help="default: 1000")
    parser.add_argument("--clients", type=int, default=2, help="asking meanwhile; default: 2")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a plot of the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = ROOT / "models" / options.model  # which a path from the root overrides
        target = Path(folder) / source.name
        manifests = two_versions(source, target)
        seen = swap(target, manifests, options.swaps, options.clients)
    report(source.name, seen)
    if options.plot:
        plot(seen, options.plot)


def two_versions(source: Path, target: Path) -> tuple[str, str]:
    """Copy a model and put the same graphs beside it as a second version.

    Returns:
        The manifests of both; the folder's is the first.
    """
    shutil.copytree(source, target)
    manifest = (source / MANIFEST_FILE).read_text()
    version = json.loads(manifest)["version"]
    other = str(int(version) + 1)
    shutil.copytree(source / version, target / other)
    changed = manifest.replace(f'"{version}/', f'"{other}/').replace(
        f'"version": "{version}"', f'"version": "{other}"'
    )
    return manifest, changed


def swap(model: Path, manifests: tuple[str, str], swaps: int, clients: int) -> Seen:
    """Serve a model, swap its versions and unload it in the end; see Seen."""
    seen, port, done = Seen(), free_port(), threading.Event()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    command += [
        "--models",
        str(model.parent),
        "--allow-repository-control",
        "true",
        "--device",
        "cpu",
    ]
    body = multipart(photograph(640, 480))
    path = f"/{read_manifest(model).task}"

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not done.is_set():
            while_loading, began = seen.loading, time.perf_counter()
            connection.request("POST", path, body, _FORM)
            response = connection.getresponse()
            response.read()
            seen.statuses[response.status] += 1
            seen.latencies_ms[while_loading].append(1e3 * (time.perf_counter() - began))

    def control(action: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("POST", f"/v2/repository/models/{model.name}/{action}")
        response = connection.getresponse()
        if response.status != 200:
            sys.exit(f"{action}: {response.status} {response.read().decode()}")
        connection.close()

    with running(command, f"http://127.0.0.1:{port}/readyz") as server:
        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        seen.look(server.pid)
        for turn in range(1, swaps + 1):
            incoming = model / ".incoming"
            incoming.write_text(manifests[turn % 2])
            incoming.replace(model / MANIFEST_FILE)
            began, seen.loading = time.perf_counter(), True
            control("load")
            seen.load_s.append(time.perf_counter() - began)
            seen.loading = False
            time.sleep(0.05)
            seen.look(server.pid)
        time.sleep(1)
        done.set()
        for thread in threads:
            thread.join()
        seen.look(server.pid)
        control("unload")
        seen.look(server.pid)
    return seen


def report(model: str, seen: Seen) -> None:
    """Print the figures in Markdown."""
    swaps = len(seen.load_s)
    rss = seen.rss_mib[1 : swaps + 1]
    tenth = max(1, swaps // 10)
    slope = 1000 * float(np.polyfit(np.arange(swaps), rss, 1)[0]) if swaps > 1 else 0.0
    failed = sum(count for status, count in seen.statuses.items() if status != 200)
    print(f"{swaps} swaps of {model}, {statistics.median(seen.load_s):.2f} s each (median).\n")
    print("| | before | first tenth | last tenth | at rest | unloaded |\n|---|---|---|---|---|---|")
    figures: tuple[tuple[str, list[float] | list[int], str], ...] = (
        ("resident memory, MiB", seen.rss_mib, ".1f"),
        ("threads", seen.threads, ".0f"),
        ("open files", seen.files, ".0f"),
    )
    for name, values, form in figures:
        after = values[1 : swaps + 1]
        first, last = statistics.median(after[:tenth]), statistics.median(after[-tenth:])
        cells = (values[0], first, last, values[-2], values[-1])
        print(f"| {name} | " + " | ".join(format(cell, form) for cell in cells) + " |")
    print(f"\nSlope of memory: {slope:+.2f} MiB in 1,000 swaps.")
    print(f"{seen.statuses.total():,} requests meanwhile, {failed} failed.")
    for loading, name in ((False, "no version loads"), (True, "one loads")):
        latencies = seen.latencies_ms[loading]
        if len(latencies) > 1:
            p50, p99 = np.percentile(latencies, [50, 99])
            print(f"Latency while {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms.")


def plot(seen: Seen, file: Path) -> None:
    """Draw memory, threads and open files over the swaps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(seen.rss_mib, linewidth=0.8)
    above.set(ylabel="resident memory, MiB", ylim=(0, None))
    below.plot(seen.threads, label="threads")
    below.plot(seen.files, label="open files")
    below.set(xlabel="swaps (the last two: at rest, unloaded)", ylim=(0, None))
    below.legend()
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
