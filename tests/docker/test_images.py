"""The images: what they add to their base, what they leave out."""

import pytest

from tests.docker.stack import Report, docker, sizes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

BASE = "python:3.12-slim"
MOST_ADDED = 250e6
"""Bytes the CPU image may add to its base, models apart."""


@pytest.mark.usefixtures("stack")
def test_the_image_adds_no_more_than_its_bar(report: Report) -> None:
    image, base = sizes("sightline:cpu", BASE)
    report(f"sightline:cpu is {(image - base) / 1e6:.0f} MB larger than {BASE}")
    assert 0 < image - base <= MOST_ADDED


@pytest.mark.usefixtures("stack")
def test_the_image_has_no_compiler_and_nothing_of_its_making() -> None:
    found = docker(
        "run", "--rm", "--entrypoint", "sh", "sightline:cpu", "-c",
        "for tool in cc gcc g++ make ld uv git curl; do command -v $tool; done; "
        "ls -A /src /models; "
        "python -c 'import importlib.util as i; print(i.find_spec(\"torch\"))'",
        check=False,
    )  # fmt: skip
    assert "/usr/bin/" not in found
    assert "/usr/local/bin/" not in found
    assert found.rstrip().endswith("None")
    assert found.count("No such file or directory") == 2
