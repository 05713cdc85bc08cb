"""The loop in several real processes over gloo."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.toys import end, history, in_processes, train, warm_up
from training.devices import Devices, launch

pytestmark = pytest.mark.timeout(300)

_ROOT = Path(__file__).parents[2]
_PLAIN = {"optimizer": "sgd", "lr": 0.05}


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / f"{name}.ckpt", weights_only=True)
    return state


def _assert_close(one: Path, other: Path) -> None:
    """Weights, moments (the first of which are the gradients), averages, figures."""
    for name in ("networks", "optimizers", "averages", "best"):
        torch.testing.assert_close(
            _checkpoint(one)[name], _checkpoint(other)[name], rtol=0, atol=1e-6
        )
    for mine, its in zip(history(one), history(other), strict=True):
        mine.pop("error", None), its.pop("error", None)  # the mean of roots is no root of means
        assert mine == pytest.approx(its, abs=1e-6)


class TestTwoProcesses:
    def test_a_gradient_is_that_of_one_process(self, tmp_path: Path) -> None:
        training = {"epochs": 1}
        options = {**_PLAIN, "batch": 48}  # one step, so the momentum is the gradient
        train(tmp_path / "1", options=options, training=training)
        assert in_processes(tmp_path / "2", 2, options=options, training=training) == [0, 0]
        gradients = [
            [state["momentum_buffer"] for state in _moments(tmp_path / folder)]
            for folder in ("1", "2")
        ]
        assert max(float(gradient.abs().max()) for gradient in gradients[0]) > 0.01
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("accumulate", [1, 2])
    def test_a_training_is_that_of_one_process(self, tmp_path: Path, accumulate: int) -> None:
        training = {"epochs": 3, "ema": 0.8, "clip_norm": 0.5, "accumulate": accumulate}
        train(tmp_path / "1", options=_PLAIN, training=training)
        assert in_processes(tmp_path / "2", 2, options=_PLAIN, training=training) == [0, 0]
        _assert_close(tmp_path / "1", tmp_path / "2")
        for rank in (0, 1):  # both hold the best weights in the end
            torch.testing.assert_close(
                end(tmp_path / "2", rank)["networks"],
                _checkpoint(tmp_path / "2", "best")["networks"],
                rtol=0,
                atol=0,
            )

    def test_two_go_on_where_one_was_killed(self, tmp_path: Path) -> None:
        training = {"epochs": 3, "checkpoint_steps": 2, "log_steps": 3}
        train(tmp_path / "whole", options=_PLAIN, training=training)
        broken = tmp_path / "broken"
        options = {**_PLAIN, "signal_at": 10}
        assert in_processes(broken, options=options, training=training) == [-signal.SIGKILL]
        statuses = in_processes(broken, 2, options=_PLAIN, training=training, resume=True)
        assert statuses == [0, 0]
        _assert_close(tmp_path / "whole", broken)

    def test_a_resumed_run_is_an_unbroken_one(self, tmp_path: Path) -> None:
        """With dropout and batch normalisation, of which each process has its own."""
        training = {"epochs": 2, "checkpoint_steps": 2, "ema": 0.9, "log_steps": 3}
        noisy = {"dropout": 0.2, "noise": 0.1, "norm": True}
        assert in_processes(tmp_path / "whole", 2, options=noisy, training=training) == [0, 0]
        broken = tmp_path / "broken"
        options = {**noisy, "signal_at": 9, "unlucky": 1}
        statuses = in_processes(broken, 2, options=options, training=training)
        assert statuses[1] == -signal.SIGKILL
        assert statuses[0] not in (0, None)
        assert _checkpoint(broken)["step"] == 8
        statuses = in_processes(broken, 2, options=noisy, training=training, resume=True)
        assert statuses == [0, 0]
        whole, resumed = _checkpoint(tmp_path / "whole"), _checkpoint(broken)
        for state in (whole, resumed):
            state.pop("seconds")
        torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
        assert history(broken) == history(tmp_path / "whole")

    @pytest.mark.parametrize("recipe", ["Gan", "QLearner"])
    def test_any_recipe(self, tmp_path: Path, recipe: str) -> None:
        training = {"epochs": 2, "ema": 0.9, "log_steps": 2}
        assert in_processes(tmp_path, 2, recipe=recipe, training=training) == [0, 0]
        one, other = end(tmp_path, 0), end(tmp_path, 1)
        torch.testing.assert_close(one["networks"], other["networks"], rtol=0, atol=0)
        assert set(one["turns"]) <= {(True, True)}

    def test_a_loss_that_is_not_finite_in_one_stops_both(self, tmp_path: Path) -> None:
        options = {"nan_at": 3, "unlucky": 1}
        training = {"epochs": 1, "log_steps": 2}
        assert in_processes(tmp_path, 2, options=options, training=training) == [1, 1]
        for rank in (0, 1):
            text = (tmp_path / f"error.{rank}.txt").read_text()
            assert text.startswith("DivergedError: the loss is not finite any more at step 4")

    @pytest.mark.parametrize("unlucky", [0, 1])
    def test_an_error_in_one_ends_both(self, tmp_path: Path, unlucky: int) -> None:
        options = {"fail_at": 4, "unlucky": unlucky}
        assert in_processes(tmp_path, 2, options=options, training={"epochs": 1}) == [1, 1]
        assert "made to fail" in (tmp_path / f"error.{unlucky}.txt").read_text()

    def test_a_stop_asked_of_one_stops_both(self, tmp_path: Path) -> None:
        options = {"signal_at": 2, "signal_number": signal.SIGTERM, "unlucky": 1}
        training = {"epochs": 2, "log_steps": 4}
        assert in_processes(tmp_path, 2, options=options, training=training) == [1, 1]
        assert _checkpoint(tmp_path)["step"] == 4
        assert "StoppedError" in (tmp_path / "error.0.txt").read_text()

    def test_a_folder_that_is_taken_is_refused_by_both(self, tmp_path: Path) -> None:
        train(tmp_path, training={"epochs": 1})
        assert in_processes(tmp_path, 2, training={"epochs": 1}) == [1, 1]
        for rank in (0, 1):
            assert "RunError" in (tmp_path / f"error.{rank}.txt").read_text()


def _moments(folder: Path) -> list[dict[str, Any]]:
    return list(_checkpoint(folder)["optimizers"]["main"]["state"].values())


class TestLaunch:
    """The two ways to start processes, from a command line."""

    _ARGUMENTS = ("--standalone", "--nproc_per_node", "2")

    @pytest.mark.parametrize(
        ("launcher", "devices"),
        [((), 2), (("-m", "torch.distributed.run", *_ARGUMENTS), 1)],
        ids=["devices", "torchrun"],
    )
    def test_both_train(self, tmp_path: Path, launcher: tuple[str, ...], devices: int) -> None:
        arguments: dict[str, Any] = {"options": _PLAIN, "training": {"epochs": 1}}
        train(tmp_path / "1", **arguments)
        (tmp_path / "2").mkdir()
        outside = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
        subprocess.run(
            [
                sys.executable,
                *launcher,
                "-m",
                "tests.training.toys",
                tmp_path / "2",
                json.dumps({**arguments, "devices": devices}),
            ],
            cwd=_ROOT,
            env={k: v for k, v in os.environ.items() if k not in outside}
            | {"OMP_NUM_THREADS": "1"},
            check=True,
            timeout=280,
            capture_output=True,
        )
        _assert_close(tmp_path / "1", tmp_path / "2")
        for name in ("end.1.pt", "curves.png", "best.ckpt"):
            assert (tmp_path / "2" / name).exists()

    @pytest.mark.parametrize("values", [{"devices": 0}, {"nodes": -1}])
    def test_fewer_than_one(self, values: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"{next(iter(values))} must be at least 1"):
            Devices(**values)

    def test_alone(self) -> None:
        fabric = launch(Devices(accelerator="cpu"))
        assert (fabric.global_rank, fabric.world_size) == (0, 1)
        assert fabric.device == torch.device("cpu")
