"""A compose project of its own on free ports, and what the tests ask of it."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
FAR = 600.0
"""Seconds nothing here takes, not even on a busy machine."""

Report = Callable[[str], None]
"""Prints a measurement, which no test asserts."""

KILL = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    words = (folder / "cmdline").read_bytes().split(b"\\0")
    if int(folder.name) != 1 and b"serve" in words:
        os.kill(int(folder.name), signal.SIGKILL)
"""
"""The code of a container's own that kills its service, but not its init, like the kernel would."""

PORTS = ("SIGHTLINE_PORT", "GPU_PORT", "GATEWAY_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")


def free_port() -> int:
    """A port nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def docker(*words: str, check: bool = True) -> str:
    """What a command of Docker prints, both streams together."""
    done = subprocess.run(
        ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=FAR
    )
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}"
    return done.stdout


def until(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value."""
    end = time.monotonic() + FAR
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def _environment() -> dict[str, str]:
    """What Docker needs of this shell, without what would change the project."""
    ours = ("SIGHTLINE_", "COMPOSE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class Stack:
    """One project: its containers, its ports."""

    def __init__(self, name: str, *files: str, **variables: str) -> None:
        """Name it; nothing is started."""
        self.name = name
        self._files = [word for file in files for word in ("-f", str(ROOT / file))]
        self.ports = {port: free_port() for port in PORTS}
        self._variables = {**{key: str(port) for key, port in self.ports.items()}, **variables}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run ``docker compose`` on this project."""
        return subprocess.run(
            ["docker", "compose", "-p", self.name, *self._files, *words],
            cwd=ROOT,
            env={**_environment(), **self._variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FAR,
        )

    def compose(self, *words: str) -> str:
        """What ``docker compose`` prints; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, f"docker compose {' '.join(words)}: {done.stdout}{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """The last lines of every container."""
        return self.run("--profile", "*", "logs", "--tail", "40").stdout

    def down(self) -> None:
        """Remove everything the project made, images apart."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def containers(self, service: str) -> list[str]:
        """The containers of a service, stopped ones too, by name."""
        said = docker(
            "ps", "-a", "--format", "{{.Names}}",
            "--filter", f"label=com.docker.compose.project={self.name}",
            "--filter", f"label=com.docker.compose.service={service}",
        )  # fmt: skip
        return sorted(said.split())

    def client(self, port: str = "SIGHTLINE_PORT", **options: Any) -> httpx.Client:
        """A client of a published port."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports[port]}", timeout=FAR, trust_env=False, **options
        )


def inspect(container: str) -> dict[str, Any]:
    """All that Docker knows about a container."""
    found: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return found


def inside(container: str, *words: str) -> str:
    """What a command in a container prints."""
    return docker("exec", container, *words)


def python(container: str, code: str) -> str:
    """What Python code prints in a container."""
    return inside(container, "python", "-c", code).strip()


def is_healthy(container: str) -> bool:
    """Whether a container runs and its health check says so."""
    state = inspect(container)["State"]
    return bool(state["Running"] and state["Health"]["Status"] == "healthy")


def sizes(*images: str) -> Sequence[int]:
    """Bytes of images."""
    return [
        int(docker("image", "inspect", "--format", "{{.Size}}", image).strip()) for image in images
    ]
