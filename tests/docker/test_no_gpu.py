"""The profile and the image for a GPU, on a machine that has none."""

import pytest

from tests.docker.stack import ROOT, Stack, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


def has_gpu() -> bool:
    return "nvidia" in docker("info", "--format", "{{json .Runtimes}}")


def test_without_a_gpu_the_profile_says_so(stack: Stack) -> None:
    if has_gpu():
        pytest.skip("this engine has NVIDIA's runtime")
    stack.compose("--profile", "gpu", "build", "service-gpu")
    done = stack.run("--profile", "gpu", "up", "--wait", "service-gpu")
    assert done.returncode != 0
    assert 'could not select device driver "nvidia"' in done.stdout
    (container,) = stack.containers("service-gpu")
    assert inspect(container)["State"]["Running"] is False
    docker("rm", container)


@pytest.mark.usefixtures("stack")
def test_without_a_gpu_the_image_refuses_to_start() -> None:
    if has_gpu():
        pytest.skip("this engine has NVIDIA's runtime")
    name = "sightline-test-no-gpu"
    try:
        said = docker(
            "run", "--name", name, "-v", f"{ROOT}/models:/models:ro", "sightline:cuda", check=False
        )
        assert inspect(name)["State"]["ExitCode"] == 1
    finally:
        docker("rm", "--force", name)
    assert "sightline: SIGHTLINE_DEVICE=cuda, but no session runs there" in said
    assert "Traceback" not in said
