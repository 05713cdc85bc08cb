"""The real command in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "service", "serve"]
FAR = 60.0
"""Seconds nothing here takes."""


class Server:
    """``sightline serve`` on a free port."""

    def __init__(self, models: Path, *flags: str) -> None:
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [*SERVE, "--models", models, "--port", "0", "--device", "cpu", "--cpus", "2", *flags],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._listening = threading.Event()
        self.port = 0
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        self.wait_until_listening()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(FAR)
        self._reader.join(FAR)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            if found := re.search(r"running on http://[0-9.]+:(\d+)", line):
                self.port = int(found[1])
                self._listening.set()
        self._listening.set()  # it never will

    def wait_until_listening(self) -> None:
        assert self._listening.wait(FAR)
        assert self.port, self.log

    def wait_until_ready(self) -> Self:
        until(lambda: self.get("/readyz")[0] == 200)
        return self

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.exit_status()

    def exit_status(self) -> int:
        status = self.process.wait(FAR)
        self._reader.join(FAR)
        return status

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=FAR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        connection = self.connect()
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.get("/metrics")[1].splitlines()
        found = [line for line in lines if re.match(rf"sightline_{name}[{{ ]", line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def complaints(self) -> list[str]:
        """What is in the log that an operator would have to look into."""
        return [line for line in self.log if re.search(r"Traceback|ERROR|CRITICAL|WARNING", line)]


def environment(**more: str) -> dict[str, str]:
    """Of a process that is to see no settings of ours, and no proxy."""
    own = ("SIGHTLINE_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {"NO_PROXY": "127.0.0.1"} | more


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + FAR
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
