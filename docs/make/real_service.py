"""The real service with the shipped models, for what asks it for pictures."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.client import Patience, Sightline

ROOT: Final = Path(__file__).parents[2]


@contextmanager
def serving() -> Iterator[tuple[str, Sightline]]:
    """The service on a free port, and a client that waits until its models are loaded."""
    words = [sys.executable, "-m", "service", "serve", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = (re.search(r"running on (http://\S+)", line) for line in process.stderr)
            address = next(filter(None, found))[1]
            with Sightline(address, patience=Patience(retries=100, total_s=120)) as client:
                yield address, client
        finally:
            process.terminate()
