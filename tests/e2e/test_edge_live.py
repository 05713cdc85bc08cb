"""Keys, logs and limits of the real command, in a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Self

import pytest
from fabricate import Tiny

from service.cli import main

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "service", "serve"]
FAR = 100.0
"""Seconds nothing here takes."""


def environment() -> dict[str, str]:
    own = ("SIGHTLINE_", "OTEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


class Serving:
    """``sightline serve`` on a free port, logging JSON."""

    def __init__(self, models: Path, *flags: str) -> None:
        self.lines: list[str] = []
        self.port = 0
        flags = ("--models", str(models), "--port", "0", "--device", "cpu", "--cpus", "1", *flags)
        self.process = subprocess.Popen(
            [*SERVE, "--log-format", "json", *flags],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        until(lambda: self.port or self.process.poll() is not None)
        assert self.port, self.lines
        until(lambda: self.ask("/readyz")[0] == 200)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(FAR)
        self._reader.join(FAR)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if found := re.search(r"running on http://[0-9.]+:(\d+)", line):
                self.port = int(found[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(FAR)
        self._reader.join(FAR)
        return status

    def ask(self, path: str, key: str | None = None, **headers: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=FAR)
        try:
            connection.request("GET", path, headers=headers | ({"X-API-Key": key} if key else {}))
            response = connection.getresponse()
            body = response.read()
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, json.loads(body) if is_json else body
        finally:
            connection.close()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + FAR
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    Tiny().write(root)
    return root


def test_keys_are_made_rotated_and_revoked_while_the_service_serves(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.json"

    def keys(action: str, name: str, *flags: str) -> str:
        assert main(["keys", action, "--file", str(file), "--name", name, *flags]) == 0
        return capsys.readouterr().out.strip()

    first = keys("create", "first", "--rate", "1000/h")
    with Serving(models, "--api-keys-file", str(file), "--host", "0.0.0.0") as server:
        assert server.ask("/models")[0] == 401
        assert server.ask("/models", first)[0] == 200
        assert server.ask("/metrics", first)[0] == 403
        second = keys("create", "second")
        until(lambda: server.ask("/models", second)[0] == 200)
        keys("revoke", "first")
        until(lambda: server.ask("/models", first)[0] == 401)
        content = file.read_bytes()
        file.write_text("broken")
        until(lambda: any("stay as they were" in line for line in server.lines))
        assert server.ask("/models", second)[0] == 200
        file.write_bytes(content)
        status, answer = server.ask("/healthz/inference")
        assert (status, list(answer["models"])) == (200, ["tiny"])
        server.ask("/models", second, **{"X-Request-ID": "mine"})
        assert server.stop() == 0
    records = [json.loads(line) for line in server.lines]  # every line is an object
    (mine,) = (record for record in records if record.get("request_id") == "mine")
    assert (mine["route"], mine["status"], mine["key"]) == ("/models", 200, "second")
    assert {record["logger"] for record in records} >= {"uvicorn.error", "service.access"}
    assert [r["logger"] for r in records if r["level"] == "ERROR"] == ["service.keys"]
    assert not any(first in line or second in line for line in server.lines)
    assert not any("without API keys" in line for line in server.lines)


def test_an_open_service_on_all_addresses_warns_and_bounds_heads(models: Path) -> None:
    flags = ("--host", "0.0.0.0", "--max-head-kib", "4", "--head-timeout-s", "0.3")
    with Serving(models, *flags) as server:
        for sent, status in (
            (b"GET /models HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 5000 + b"\r\n\r\n", 431),
            (b"GET /" + b"y" * 5000, 414),
            (b"GET /models HTTP/1.1\r\nhost: a\r\n", 408),
            (b"nonsense\r\n\r\n", 400),
        ):
            with socket.create_connection(("127.0.0.1", server.port), FAR) as connection:
                connection.sendall(sent)
                with HTTPResponse(connection) as response:
                    response.begin()
                    assert response.status == status
                    assert response.headers["content-type"] == "application/problem+json"
                    assert json.loads(response.read())["status"] == status
        assert server.ask("/models")[0] == 200
        assert server.stop() == 0
    (warning,) = (json.loads(line) for line in server.lines if "without API keys" in line)
    assert warning["level"] == "WARNING"
