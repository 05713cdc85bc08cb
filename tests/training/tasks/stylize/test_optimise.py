from collections.abc import Mapping

import pytest
import torch

from training.errors import TrainingError
from training.nets.style.vgg import Vgg19
from training.tasks.stylize.objective import Aim, Weighting
from training.tasks.stylize.optimise import Optimisation, first_pixels

WEIGHTING = Weighting()


@pytest.fixture
def content() -> torch.Tensor:
    """As pictures come: rows, columns and then colours."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 24, 32, 3, generator=generator).permute(0, 3, 1, 2)


def _aim(vgg: Vgg19, content: torch.Tensor) -> Aim:
    with torch.no_grad():
        return Aim.of(vgg(content), vgg(content.flip(1) * 0.5))


def test_the_loss_falls_and_the_beginning_stays(vgg: Vgg19, content: torch.Tensor) -> None:
    begin = first_pixels(content, "content", 0)
    told: list[tuple[int, Mapping[str, float]]] = []
    optimisation = Optimisation(vgg, _aim(vgg, content), begin, WEIGHTING)
    optimisation.move(4, lambda *each: told.append(each))
    optimisation.move(2, lambda *each: told.append(each))
    assert optimisation.iterations == 6
    assert begin.equal(content)
    assert [count for count, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][1]["loss"] < 0.8 * told[0][1]["loss"]
    assert set(told[0][1]) == {"loss", "content", "style", "variation"}
    assert told[0][1]["content"] < 1e-9 < told[0][1]["style"]


def test_noise_is_the_same_for_a_seed(content: torch.Tensor) -> None:
    noise = first_pixels(content, "noise", 3)
    assert noise.shape == content.shape
    assert noise.equal(first_pixels(content, "noise", 3))
    assert not noise.equal(first_pixels(content, "noise", 4))
    assert 0 <= noise.min() < noise.max() <= 1


def test_a_loss_that_is_no_number_stops_it(vgg: Vgg19, content: torch.Tensor) -> None:
    optimisation = Optimisation(
        vgg, _aim(vgg, content), torch.full_like(content, float("nan")), WEIGHTING
    )
    with pytest.raises(TrainingError, match="not finite"):
        optimisation.move(2)
