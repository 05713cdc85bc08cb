import math
import resource
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from torch import Tensor, nn

from tests.training.toys import Regress, history, in_processes, train, warm_up
from training.devices import Devices, launch
from training.loop import StoppedError, Training, TrainingError, fit, load_best
from training.recipe import Part
from training.run import Run, RunError

pytestmark = pytest.mark.timeout(300)  # the first child waits for slow imports


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Children have one too; sums are then made in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.run.plot", lambda *_: None)


@pytest.fixture
def fabric() -> Fabric:
    return launch(Devices(accelerator="cpu"))


def _same(one: Any, other: Any) -> bool:
    """Bit for bit, NaN included."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.equal(other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (one != one and other != other)


def _checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / f"{name}.ckpt", weights_only=True)
    state.pop("seconds", None)
    return state


def _assert_same_run(one: Path, other: Path) -> None:
    assert history(one) == history(other)
    for name in ("last", "best"):
        assert _same(_checkpoint(one, name), _checkpoint(other, name)), name


_EVERYTHING = {
    "epochs": 3,
    "ema": 0.9,
    "clip_norm": 0.5,
    "checkpoint_steps": 2,
    "log_steps": 3,
}
_NOISY = {"dropout": 0.3, "noise": 0.1, "norm": True, "batch": 4}


class TestResume:
    @pytest.mark.parametrize(
        ("training", "signal_at"),
        [
            pytest.param({"schedule": "cosine"}, 17, id="cosine"),
            pytest.param({"schedule": "step", "accumulate": 2}, 17, id="step-accumulate"),
            pytest.param({"checkpoint_steps": 500}, 30, id="checkpoint-of-an-epoch"),
        ],
    )
    def test_a_killed_run_ends_as_an_unbroken_one(
        self, tmp_path: Path, training: dict[str, Any], signal_at: int
    ) -> None:
        training = {**_EVERYTHING, **training}
        train(tmp_path / "whole", options=_NOISY, training=training)
        broken = tmp_path / "broken"
        options = {**_NOISY, "signal_at": signal_at}
        assert in_processes(broken, options=options, training=training) == [-signal.SIGKILL]
        step = _checkpoint(broken)["step"]
        done = signal_at // training.get("accumulate", 1)
        assert done - training["checkpoint_steps"] <= step <= done
        assert 0 < step < _checkpoint(tmp_path / "whole")["step"]
        recipe, outcome = train(broken, options=_NOISY, training=training, resume=True)
        _assert_same_run(tmp_path / "whole", broken)
        assert outcome.best == _checkpoint(broken, "best")["figures"]["loss"]
        assert _same(recipe.networks["net"].state_dict(), _best(broken)["net"])

    def test_a_kill_while_a_checkpoint_is_written_leaves_the_former(self, tmp_path: Path) -> None:
        training = {"epochs": 2, "checkpoint_steps": 2}
        train(tmp_path / "whole", training=training)
        broken = tmp_path / "broken"
        assert in_processes(broken, training=training, half_save=2) == [-signal.SIGKILL]
        assert _checkpoint(broken)["step"] == 2
        assert len(list(broken.glob(".last.*.ckpt"))) == 1
        train(broken, training=training, resume=True)
        _assert_same_run(tmp_path / "whole", broken)
        assert not list(broken.glob(".*"))

    def test_a_kill_between_best_and_last_measures_again(self, tmp_path: Path) -> None:
        training = {"epochs": 2, "checkpoint_steps": 3}
        train(tmp_path / "whole", training=training)
        broken = tmp_path / "broken"  # saved: step 3, best of epoch 1; not the last of epoch 1
        assert in_processes(broken, training=training, half_save=3) == [-signal.SIGKILL]
        assert (broken / "best.ckpt").exists()
        assert _checkpoint(broken)["step"] == 3
        train(broken, training=training, resume=True)
        _assert_same_run(tmp_path / "whole", broken)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_polite_stop_loses_nothing(self, tmp_path: Path, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        training = {**_EVERYTHING, "checkpoint_steps": 500}
        train(tmp_path / "whole", options=_NOISY, training=training)
        broken = tmp_path / "broken"
        options = {**_NOISY, "signal_at": 16, "signal_number": number}
        with pytest.raises(StoppedError, match=r"step 17 of 36.*--resume"):
            train(broken, options=options, training=training)
        assert _checkpoint(broken)["step"] == 17
        assert signal.getsignal(number) is before
        train(broken, options=_NOISY, training=training, resume=True)
        _assert_same_run(tmp_path / "whole", broken)

    def test_a_stop_in_the_last_step_of_an_epoch_waits_for_its_figures(
        self, tmp_path: Path
    ) -> None:
        options = {"signal_at": 5, "signal_number": signal.SIGTERM}
        with pytest.raises(StoppedError, match="step 6 of 12"):
            train(tmp_path, options=options, training={"epochs": 2})
        assert [line["split"] for line in history(tmp_path)] == ["train", "held_out"]

    def test_a_stop_at_the_very_end_is_none(self, tmp_path: Path) -> None:
        options = {"signal_at": 5, "signal_number": signal.SIGTERM}
        assert train(tmp_path, options=options, training={"epochs": 1})[1].epoch == 1

    def test_a_finished_run_trains_nothing(self, tmp_path: Path) -> None:
        first, done = train(tmp_path, training={"epochs": 2})
        before = (tmp_path / "last.ckpt").read_bytes(), history(tmp_path)
        options = {"fail_at": 12}  # its next update would fail
        again, outcome = train(tmp_path, options=options, training={"epochs": 2}, resume=True)
        assert ((tmp_path / "last.ckpt").read_bytes(), history(tmp_path)) == before
        assert (outcome.best, outcome.epoch) == (done.best, done.epoch)
        assert outcome.seconds > 0
        assert _same(first.networks["net"].state_dict(), again.networks["net"].state_dict())

    def test_other_settings_are_refused(self, tmp_path: Path) -> None:
        train(tmp_path, training={"epochs": 1})
        with pytest.raises(RunError, match="epochs was 1, is 2"):
            train(tmp_path, training={"epochs": 2}, resume=True)

    def test_a_damaged_checkpoint_is_named(self, tmp_path: Path) -> None:
        train(tmp_path, training={"epochs": 1})
        (tmp_path / "last.ckpt").write_bytes(b"no checkpoint")
        with pytest.raises(TrainingError, match=r"last\.ckpt cannot be read"):
            train(tmp_path, training={"epochs": 1}, resume=True)

    @pytest.mark.parametrize(("recipe", "signal_at"), [("Gan", 10), ("QLearner", 34)])
    def test_any_recipe(self, tmp_path: Path, recipe: str, signal_at: int) -> None:
        training = {"epochs": 3, "ema": 0.9, "checkpoint_steps": 3, "log_steps": 2}
        whole, _ = train(tmp_path / "whole", recipe=recipe, training=training)
        broken = tmp_path / "broken"
        options = {"signal_at": signal_at}
        statuses = in_processes(broken, recipe=recipe, options=options, training=training)
        assert statuses == [-signal.SIGKILL]
        resumed, _ = train(broken, recipe=recipe, training=training, resume=True)
        _assert_same_run(tmp_path / "whole", broken)
        for name, network in whole.networks.items():
            assert _same(network.state_dict(), resumed.networks[name].state_dict())


def _best(folder: Path) -> Any:
    return _checkpoint(folder, "best")["networks"]


class TestNotFinite:
    @pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
    def test_the_last_checkpoint_is_kept(self, tmp_path: Path, precision: Any) -> None:
        fabric = launch(Devices(accelerator="cpu", precision=precision))
        training = Training(epochs=3, checkpoint_steps=2)
        with pytest.raises(TrainingError, match="loss is not finite any more at step 8"):
            fit(Regress(nan_at=7), training, Run(tmp_path), fabric)
        state = _checkpoint(tmp_path)
        assert state["step"] == 6
        assert all(bool(value.isfinite().all()) for value in state["networks"]["net"].values())

    def test_the_history_has_no_line_of_it(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError):
            train(tmp_path, options={"nan_at": 3}, training={"log_steps": 2})
        assert [line["step"] for line in history(tmp_path)] == [2]

    def test_overflow_of_half_precision_is_scaled_away(self, tmp_path: Path) -> None:
        """The scaler skips steps whose gradients overflow, and is part of a checkpoint."""
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
        precision = MixedPrecision("16-mixed", "cpu", scaler)
        fabric = Fabric(accelerator="cpu", devices=1, plugins=precision)
        recipe = Regress()
        before = [parameter.clone() for parameter in recipe.networks["net"].parameters()]
        fit(recipe, Training(epochs=1, clip_norm=1.0), Run(tmp_path), fabric)
        scale = _checkpoint(tmp_path)["precision"]["scale"]
        assert scale == 2.0**34
        after = recipe.networks["net"].parameters()
        assert all(a.equal(b) for a, b in zip(before, after, strict=True))
        fresh = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
        fabric = Fabric(accelerator="cpu", devices=1, plugins=fresh)
        fit(Regress(), Training(epochs=1, clip_norm=1.0), Run(tmp_path), fabric, resume=True)
        assert fresh.scaler is not None
        assert fresh.scaler.get_scale() == scale


class TestGan:
    def test_each_objective_moves_its_own_network(self, tmp_path: Path) -> None:
        recipe, outcome = train(tmp_path, recipe="Gan", training={"epochs": 2, "clip_norm": 1.0})
        assert len(recipe.turns) == 12
        assert set(recipe.turns) == {(True, True)}
        assert outcome.figures.keys() == {"loss", "spread"}
        trained = history(tmp_path)[0]
        assert {"loss_generator", "loss_discriminator", "lr_generator"} <= trained.keys()


class TestQLearner:
    def test_it_learns_to_walk_to_the_right(self, tmp_path: Path) -> None:
        training = {"epochs": 5, "schedule": "constant", "ema": 0.5}
        _, outcome = train(tmp_path, recipe="QLearner", training=training)
        assert outcome.best == 1.0
        measured = [line["right"] for line in history(tmp_path) if line["split"] == "held_out"]
        assert outcome.epoch == max(epoch for epoch, right in enumerate(measured, 1) if right == 1)

    def test_lines_before_anything_is_learnt_have_no_loss(self, tmp_path: Path) -> None:
        train(tmp_path, recipe="QLearner", training={"epochs": 1, "log_steps": 2})
        lines = [line for line in history(tmp_path) if line["split"] == "train"]
        assert "loss" not in lines[0]
        assert "loss" in lines[-1]


class TestStep:
    def test_accumulated_batches_equal_a_large_one(self, tmp_path: Path) -> None:
        options = {"optimizer": "sgd", "lr": 0.05}
        training = {"epochs": 3, "schedule": "constant", "warmup_epochs": 0}
        one, _ = train(tmp_path / "1", options={**options, "batch": 24}, training=training)
        four, _ = train(
            tmp_path / "4",
            options={**options, "batch": 6},
            training={**training, "accumulate": 4},
        )
        assert _checkpoint(tmp_path / "1")["step"] == _checkpoint(tmp_path / "4")["step"] == 6
        for a, b in zip(_weights(one), _weights(four), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)

    def test_batches_left_over_by_accumulation_are_left_out(self, tmp_path: Path) -> None:
        recipe, _ = train(tmp_path, training={"epochs": 2, "accumulate": 4})
        assert _checkpoint(tmp_path)["step"] == 2
        assert recipe.updates == 8

    @pytest.mark.parametrize("clip", [None, 0.01])
    def test_gradients_are_clipped(self, tmp_path: Path, clip: float | None) -> None:
        options = {"optimizer": "sgd", "batch": 48}
        train(tmp_path, options=options, training={"epochs": 1, "clip_norm": clip})
        momentum = _checkpoint(tmp_path)["optimizers"]["main"]["state"].values()
        gradient = torch.cat([state["momentum_buffer"].flatten() for state in momentum])
        if clip is None:
            assert gradient.norm() > 0.1
        else:
            assert gradient.norm() == pytest.approx(clip, rel=1e-3)

    def test_the_moving_average_is_what_is_measured(self, tmp_path: Path, fabric: Fabric) -> None:
        class Watched(Regress):
            def __init__(self) -> None:
                super().__init__(norm=True)
                self.taken: list[Mapping[str, Tensor]] = []
                self.measured: Mapping[str, Tensor] = {}
                optimizer = self.optimizers["main"]
                optimizer.register_step_post_hook(lambda *_: self._take())

            def _take(self) -> None:
                state = self.networks["net"].state_dict()
                self.taken.append({name: value.clone() for name, value in state.items()})

            def evaluate(
                self, networks: Mapping[str, nn.Module], part: Part
            ) -> Mapping[str, float]:
                assert not networks["net"].training
                self.measured = networks["net"].state_dict()
                return super().evaluate(networks, part)

        recipe = Watched()
        fit(recipe, Training(epochs=1, ema=0.8), Run(tmp_path), fabric)
        for name in ("0.weight", "1.running_mean"):
            by_hand = recipe.taken[0][name]
            for taken in recipe.taken[1:]:
                by_hand = 0.8 * by_hand + 0.2 * taken[name]
            torch.testing.assert_close(recipe.measured[name], by_hand)
            assert recipe.networks["net"].state_dict()[name].equal(recipe.measured[name])

    def test_the_rate_follows_the_schedule(self, tmp_path: Path) -> None:
        training = {
            "epochs": 4,
            "schedule": "step",
            "milestones": [0.5],
            "warmup_epochs": 0.5,
            "log_steps": 1,
        }
        train(tmp_path, options={"lr": 0.4}, training=training)
        rates = [line["lr"] for line in history(tmp_path) if line["split"] == "train"]
        assert rates == pytest.approx([0.1, 0.2, 0.3] + [0.4] * 9 + [0.04] * 12)


def _weights(recipe: Regress) -> list[Tensor]:
    return [parameter.detach() for parameter in recipe.networks["net"].parameters()]


class _Scripted(Regress):
    """Measures what it is told to."""

    figures: ClassVar[list[float]] = []

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.weights: list[Tensor] = []

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        del networks, part
        self.weights.append(_weights(self)[0].clone())
        self.epoch += 1
        return {"loss": self.figures[self.epoch - 1], "other": float(self.epoch)}


class TestBest:
    @pytest.mark.parametrize(
        ("figures", "is_higher_better", "epoch"),
        [
            ([3.0, 1.0, 2.0], False, 2),
            ([3.0, 1.0, 2.0], True, 1),
            ([math.nan, 1.0, 2.0], True, 3),
            ([math.nan, 2.0, math.inf], False, 2),
            ([1.0, math.nan, 1.0], True, 3),
        ],
    )
    def test_the_best_epoch_is_kept(
        self,
        tmp_path: Path,
        fabric: Fabric,
        figures: list[float],
        is_higher_better: bool,
        epoch: int,
    ) -> None:
        class Told(_Scripted):
            higher_is_better = is_higher_better

        Told.figures = figures
        recipe = Told()
        outcome = fit(recipe, Training(epochs=3), Run(tmp_path), fabric)
        assert (outcome.best, outcome.epoch) == (figures[epoch - 1], epoch)
        assert outcome.figures["other"] == epoch
        assert _weights(recipe)[0].equal(recipe.weights[epoch - 1])
        fresh = Told()
        assert load_best(fresh, Run(tmp_path))["other"] == epoch
        assert _weights(fresh)[0].equal(recipe.weights[epoch - 1])

    def test_nothing_is_best_where_nothing_is_a_number(
        self, tmp_path: Path, fabric: Fabric
    ) -> None:
        class Told(_Scripted):
            figures: ClassVar[list[float]] = [math.nan, math.nan]

        recipe = Told()
        outcome = fit(recipe, Training(epochs=2), Run(tmp_path), fabric)
        assert math.isnan(outcome.best)
        assert outcome.epoch == 0
        assert _weights(recipe)[0].equal(recipe.weights[-1])
        assert not (tmp_path / "best.ckpt").exists()
        held_out = [line for line in history(tmp_path) if line["split"] == "held_out"]
        assert [line["loss"] for line in held_out] == [None, None]


class TestMistakes:
    def test_too_few_batches_for_a_step(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="an epoch has 6 batches"):
            train(tmp_path, training={"accumulate": 7})

    def test_a_monitor_that_is_not_measured(self, tmp_path: Path, fabric: Fabric) -> None:
        class Unmeasured(Regress):
            monitor = "accuracy"

        with pytest.raises(TrainingError, match="chooses by 'accuracy' but measures loss"):
            fit(Unmeasured(), Training(epochs=1), Run(tmp_path), fabric)

    def test_batches_that_end_early(self, tmp_path: Path, fabric: Fabric) -> None:
        class Short(Regress):
            @property
            def batches_per_epoch(self) -> int:
                return 7

        with pytest.raises(TrainingError, match="end before the 7"):
            fit(Short(), Training(epochs=1), Run(tmp_path), fabric)

    def test_a_full_disk(self, tmp_path: Path, fabric: Fabric) -> None:
        class Growing(Regress):
            def state(self) -> Mapping[str, Any]:
                return {
                    **super().state(),
                    "memory": torch.zeros(1 << 20 if self.updates > 6 else 1),
                }

        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            with pytest.raises(TrainingError, match=r"last\.ckpt cannot be written.*--resume"):
                fit(Growing(), Training(epochs=3), Run(tmp_path), fabric)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert _checkpoint(tmp_path)["step"] == 6
        assert not list(tmp_path.glob(".*"))
        fit(Growing(), Training(epochs=3), Run(tmp_path), fabric, resume=True)
        assert _checkpoint(tmp_path)["step"] == 18

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"epochs": 0}, "epochs must be at least 1, not 0"),
            ({"warmup_epochs": -1}, "warmup_epochs"),
            ({"final_lr": 2}, "final_lr"),
            ({"milestones": (0.7, 0.5)}, "milestones"),
            ({"milestones": (0.5, 3)}, "milestones"),
            ({"gamma": 0}, "gamma"),
            ({"accumulate": 0}, "accumulate"),
            ({"clip_norm": 0}, "clip_norm"),
            ({"ema": 1}, "ema must be between 0 and 1"),
            ({"checkpoint_steps": 0}, "checkpoint_steps"),
            ({"log_steps": 0}, "log_steps"),
        ],
    )
    def test_settings_out_of_range(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Training(**values)
