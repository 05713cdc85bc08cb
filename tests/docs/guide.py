"""The guide's commands, run as they stand on the page."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT, Block

FAR = 240.0
"""Seconds no block takes."""


class Walk:
    """A reader who types what a page says, in a folder of their own.

    What is put in place of the page's own words is here and nowhere else.

    Args:
        folder: to work in; ``docs`` is the repository's.
        models: a folder that is to be there as ``models``, None for a new one.
    """

    def __init__(self, folder: Path, models: Path | None = None) -> None:
        self.folder = folder
        self._sessions: list[int] = []
        (folder / "docs").symlink_to(ROOT / "docs")
        if models is not None:
            (folder / "models").symlink_to(models)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.stand_ins: Mapping[str, str] = {
            "make serve\n": "sightline serve --models models &\n",
            "make train-env\n. .venv/bin/activate\n": "command -v sightline-train >/dev/null\n",
            "localhost:8000": f"127.0.0.1:{self.port}",
            "sightline serve": f"sightline serve --port {self.port} --device cpu --cpus 2",
        }

    def type(self, block: Block) -> str:
        """Run a block of shell or Python; gives what it printed, having succeeded."""
        text = block.text
        for theirs, ours in self.stand_ins.items():
            text = text.replace(theirs, ours)
        shell = ["bash", "-euo", "pipefail", "-c", text]
        words = shell if block.language == "sh" else [sys.executable, "-c", text]
        # Files, not pipes: a service that was started stays, and would keep a pipe open.
        paths = self.folder / "printed", self.folder / "complained"
        with paths[0].open("w") as printed, paths[1].open("w") as complained:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=complained,
                start_new_session=True,
            )
            self._sessions.append(process.pid)
            status = process.wait(FAR)
        assert status == 0, f"{block}: {status}\n{text}\n{paths[1].read_text()}"
        return paths[0].read_text()

    def end(self) -> None:
        """End what the blocks have left running."""
        for session in self._sessions:
            try:
                os.killpg(session, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIGHTLINE_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return kept | {
            "PATH": path,
            "NO_PROXY": "127.0.0.1",
            "SIGHTLINE_CACHE": str(self.folder / "cache"),
        }


def documents(printed: str) -> Iterator[Any]:
    """The JSON documents in what was printed, one behind the other."""
    decoder, rest = json.JSONDecoder(), printed.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].strip()


def shape(value: Any) -> Any:
    """What kind of JSON something is: keys, lengths and types; of text the text."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return value if isinstance(value, str) else type(value).__name__
