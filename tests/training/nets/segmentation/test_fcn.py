"""How the scores of several scales become those of every pixel."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.training.nets.segmentation.random_segmenters import (
    LIGHT,
    normalised,
    painted,
    random_segmenter,
)
from training.nets.segmentation.bodies import Body
from training.nets.segmentation.fcn import Fcn

HEIGHT, WIDTH = 256, 320
#: As far from the edge as the zeros beside the coarsest map reach.
INSIDE = (..., slice(48, -48), slice(48, -48))


class Averages(Body):
    """The mean of every 8x8, 16x16 and 32x32 pixels."""

    channels, stride = (1, 1, 1), 8

    def forward(self, images: Tensor) -> list[Tensor]:
        return [functional.avg_pool2d(images, size, ceil_mode=True) for size in (8, 16, 32)]


def averaging(skips: int, weights: Tensor) -> Fcn:
    """An FCN on averages, the weights of whose scores are ``float[skips + 1, classes]``."""
    net = Fcn(Averages(), weights.shape[1], skips)
    for score, column in zip(net.scores, weights, strict=True):
        assert isinstance(score, nn.Conv2d)
        nn.init.zeros_(score.weight)
        score.weight.data += column[:, None, None, None]
    return net


def ramp() -> Tensor:
    """A picture that gets brighter to the right and less so downwards."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return (0.01 * y + 0.03 * x + 1)[None, None]


@pytest.mark.parametrize(("skips", "stride"), [(0, 32), (1, 16), (2, 8)])
def test_scores_of_all_scales_add_up_where_they_belong(skips: int, stride: int) -> None:
    """Averages of a ramp are the ramp at their centres, and so is what lies between them."""
    weights = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.25, -0.125]])[: skips + 1]
    net = averaging(skips, weights)
    images = ramp()
    with torch.inference_mode():
        scores = net.eval()(images)
        first, *coarser = net.train()(images)
    factors = weights.sum(0)[:, None, None]
    assert scores.shape == (1, 2, HEIGHT, WIDTH)
    torch.testing.assert_close(scores[INSIDE], (images * factors)[INSIDE])
    torch.testing.assert_close(first, scores)
    assert len(coarser) == skips
    for level, one in enumerate(coarser, start=1):
        size = stride * 2**level
        expected = functional.avg_pool2d(images, size) * weights[level:].sum(0)[:, None, None]
        assert one.shape == expected.shape
        inside = (..., slice(2, -2), slice(2, -2))
        torch.testing.assert_close(one[inside], expected[inside])


def test_fcn_32s_sees_the_coarsest_map_alone() -> None:
    net = averaging(0, torch.ones(1, 2)).eval()
    images = torch.randn(1, 1, HEIGHT, WIDTH)
    flat = functional.avg_pool2d(images, 32)
    flat = functional.interpolate(flat, scale_factor=32, mode="nearest")
    with torch.inference_mode():
        torch.testing.assert_close(net(images), net(flat))
        assert not torch.allclose(
            averaging(1, torch.ones(2, 2)).eval()(images),
            averaging(1, torch.ones(2, 2)).eval()(flat),
        )


def test_it_begins_by_scoring_nothing_and_learns_everything() -> None:
    """The first step moves the layers that score, the second what lies below and between them."""
    torch.manual_seed(0)
    net = Fcn(Averages(), classes=3, skips=2, hidden=4).train()
    images, masks = torch.randn(2, 1, 64, 96), torch.randint(3, (2, 64, 96))
    for step in range(2):
        scores = net(images)[0]
        assert bool(scores.any()) == bool(step)
        net.zero_grad()
        functional.cross_entropy(scores, masks).backward()  # type: ignore[no-untyped-call]
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, name
            is_score = name.startswith("scores") and name.rpartition(".")[0].endswith(".4")
            assert bool(parameter.grad.any()) == (bool(step) or is_score), name
        with torch.no_grad():
            for parameter in net.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad)


def test_channels_may_lie_last() -> None:
    net = random_segmenter()
    images = normalised(LIGHT, painted(2, 33, 47))
    with torch.inference_mode():
        expected = net(images)
        last = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        scores = last(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.1
