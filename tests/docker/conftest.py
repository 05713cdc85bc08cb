"""What the tests of containers share: pictures, and one running stack."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import skimage

from tests.docker.stack import Stack


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A photograph: a cup of coffee, 600x400."""
    return (Path(skimage.__file__).parent / "data/coffee.png").read_bytes()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The service and Prometheus, as `docker compose up --wait` starts them."""
    stack = Stack(f"sightline-test-{os.getpid()}")
    try:
        stack.compose("build", "service")
        stack.compose("up", "--wait")
        yield stack
    finally:
        stack.down()


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measurement in spite of pytest's capturing."""

    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {text}\n")

    return tell
