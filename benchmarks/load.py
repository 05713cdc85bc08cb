"""Load a server with wrk and read its numbers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
ROOT = HERE.parent
BOUNDARY = "sightline-benchmark"
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw at one number of connections; latencies in milliseconds."""

    connections: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int


def multipart(picture: bytes, field: str = "file") -> bytes:
    """A form with one picture, as ``curl -F file=@...`` sends it."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; '
        'filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def wrk(url: str, body: bytes, connections: int, seconds: float) -> Load:
    """POST ``body`` in a closed loop over ``connections`` keep-alive connections."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s"]
        result = subprocess.run(
            [*command, "-s", str(HERE / "post.lua"), url],
            env={**os.environ, "BENCH_BODY": file.name, "BENCH_BOUNDARY": BOUNDARY},
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(result.stdout.strip().splitlines()[-1])
    return Load(
        connections,
        found["requests"] / found["seconds"],
        found["p50_ms"],
        found["p95_ms"],
        found["p99_ms"],
        found["socket_errors"] + found["status_errors"],
    )


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(
    command: Sequence[str],
    ready_url: str,
    env: Mapping[str, str] | None = None,
    *,
    start_s: float = START_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, from its first good answer at ``ready_url`` to the end of the block."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe nobody reads would block the server
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )
    try:
        _await_ready(process, ready_url, log, start_s)
        yield process
    finally:
        log.close()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):  # some servers leave their workers behind
            os.killpg(process.pid, signal.SIGKILL)


def _await_ready(
    process: subprocess.Popen[bytes], url: str, log: IO[bytes], start_s: float
) -> None:
    end = time.monotonic() + start_s
    while time.monotonic() < end:
        if process.poll() is not None:
            log.seek(0)
            said = log.read().decode(errors="replace")
            raise SystemExit(f"the server ended with status {process.returncode}:\n{said}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise SystemExit(f"{url} did not answer within {start_s:g} s")
