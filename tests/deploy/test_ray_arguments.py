from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from deploy.ray_arguments import Arguments
from service.settings import Settings

SHIPPED = Path(__file__).parents[2] / "deploy" / "serve.yaml"


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIGHTLINE_{name.upper()}", raising=False)


def test_the_shipped_file_says_what_can_be() -> None:
    (application,) = yaml.safe_load(SHIPPED.read_text())["applications"]
    arguments = Arguments.model_validate(application["args"])
    settings = arguments.of_replica()
    assert (settings.cpus, settings.models) == (2, Path("/models"))
    assert arguments.model_dump(include=set(application["args"])) == application["args"]


def test_settings_win_over_variables_and_variables_over_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_QUEUE_SIZE", "7")
    monkeypatch.setenv("SIGHTLINE_MAX_FILES", "3")
    settings = Arguments(cpus=3, settings={"queue_size": 9}).of_replica()
    assert (settings.queue_size, settings.max_files, settings.cpus) == (9, 3, 3)


def test_a_replica_with_a_gpu_refuses_to_do_without() -> None:
    assert Arguments(gpus=0.5).of_replica().device == "cuda"
    assert Arguments(gpus=1, settings={"device": "auto"}).of_replica().device == "auto"
    assert Arguments().of_replica().device == "auto"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"replicas": 3}, "replicas"),
        ({"cpus": 0}, "cpus"),
        ({"gpus": 2}, "gpus"),
        ({"look_back_s": 10}, "look_back_s"),
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas is less than min_replicas"),
        ({"settings": {"queue": 3}}, "settings.queue: there is no such setting"),
        ({"settings": {"cpus": 3}}, "settings.cpus: is given by the argument cpus"),
        ({"settings": {"port": 80}}, "settings.port: is given by http_options.port"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Arguments.model_validate(given)


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="queue_size"):
        Arguments(settings={"queue_size": 0}).of_replica()


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"cpus": 4}, 8),
        ({"cpus": 4, "settings": {"slots": 2, "max_batch": 3}}, 6),
        ({"gpus": 1}, 64),
        ({"target_ongoing_requests": 2.5}, 2.5),
    ],
)
def test_scaling_aims_at_what_a_replica_runs_at_a_time(
    given: dict[str, Any], target: float
) -> None:
    arguments = Arguments.model_validate(given)
    assert arguments.target(arguments.of_replica()) == target
