import math

import pytest
import torch
from torch import nn

from training.schedule import Kind, Rates, schedule


class TestSchedule:
    @pytest.mark.parametrize("kind", ["cosine", "step", "constant"])
    def test_the_warmup_rises_evenly_to_the_height(self, kind: Kind) -> None:
        factor = schedule(kind, 100, warmup=4)
        assert [factor(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])

    def test_a_cosine_falls_to_what_is_left(self) -> None:
        factor = schedule("cosine", 110, warmup=10, final=0.2)
        assert factor(10) == 1
        assert factor(60) == pytest.approx(0.6)
        assert factor(35) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
        assert factor(110) == factor(200) == pytest.approx(0.2)
        values = [factor(step) for step in range(10, 111)]
        assert values == sorted(values, reverse=True)

    def test_steps_fall_at_the_milestones(self) -> None:
        factor = schedule("step", 100, milestones=(0.5, 0.75), gamma=0.1)
        values = [factor(step) for step in (0, 49, 50, 74, 75, 99)]
        assert values == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])

    def test_constant(self) -> None:
        assert {schedule("constant", 10)(step) for step in range(12)} == {1.0}

    @pytest.mark.parametrize("kind", ["cosine", "step", "constant"])
    def test_a_training_that_is_all_warmup(self, kind: Kind) -> None:
        factor = schedule(kind, 3, warmup=3)
        assert [factor(step) for step in range(3)] == pytest.approx([0.25, 0.5, 0.75])
        assert math.isfinite(factor(3))


class TestRates:
    def test_groups_keep_their_proportion(self) -> None:
        body, head = nn.Linear(1, 1), nn.Linear(1, 1)
        optimizer = torch.optim.SGD(
            [{"params": body.parameters(), "lr": 0.1}, {"params": head.parameters(), "lr": 1.0}]
        )
        other = torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=0.01)
        rates = Rates({"main": optimizer, "other": other}, lambda step: 0.5**step)
        for step in (3, 1):  # in any order: nothing is counted
            rates.set(step)
            assert [group["lr"] for group in optimizer.param_groups] == [
                0.1 * 0.5**step,
                0.5**step,
            ]
            assert rates.figures() == {"lr": 0.5**step, "lr_other": 0.01 * 0.5**step}
