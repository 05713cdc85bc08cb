"""SegNet's unpooling, and what lies around it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.training.nets.segmentation.random_segmenters import fresh, normalised, painted
from training.nets.segmentation.segnet import SegNet

#: The last layer before each pooling of the encoder, from the finest.
BEFORE_POOLING = (5, 12, 22, 32, 42)


@pytest.mark.parametrize("size", [(64, 96), (45, 61)])
def test_unpooling_puts_maxima_back_where_they_were(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = SegNet(2).eval()
    pooled: list[Tensor] = []
    unpooled: list[Tensor] = []
    for index in BEFORE_POOLING:
        net.encoder[index].register_forward_hook(lambda *call: pooled.append(call[2].clone()))
    for group in net.decoder:
        group.register_forward_pre_hook(lambda _, inputs: unpooled.append(inputs[0].clone()))
    with torch.inference_mode():
        net(torch.randn(2, 3, *size))
    # The coarsest values come straight from the encoder's last pooling.
    before, after = pooled[-1], unpooled[0]
    assert after.shape == before.shape
    found = after != 0
    assert after[found].equal(before[found])
    maxima = functional.max_pool2d(before, 2, ceil_mode=True)
    assert functional.max_pool2d(after, 2, ceil_mode=True).equal(maxima)
    assert int(found.sum()) == int((maxima > 0).sum()) > 0
    # The finer ones lie where the encoder's maxima lay.
    for before, after in zip(reversed(pooled), unpooled, strict=True):
        assert after.shape == before.shape
        maxima = functional.max_pool2d(before, 2, ceil_mode=True)
        largest = functional.interpolate(maxima, scale_factor=2, mode="nearest")
        is_largest = before == largest[..., : before.shape[2], : before.shape[3]]
        assert is_largest[after != 0].all()


def test_the_decoder_mirrors_the_encoder() -> None:
    net = SegNet(7)
    assert _convolutions(net.encoder)[::-1] == [
        (after, before) for before, after in (*_convolutions(net.decoder), (64, 3))
    ]
    assert (net.score.in_channels, net.score.out_channels) == (64, 7)


def _convolutions(module: nn.Module) -> list[tuple[int, int]]:
    return [
        (each.in_channels, each.out_channels)
        for each in module.modules()
        if isinstance(each, nn.Conv2d)
    ]


def test_every_parameter_learns_and_nothing_more_is_scored_in_training() -> None:
    net = fresh("segnet", 3).train()
    scores = net(normalised("segnet", painted(2, 33, 47)))
    assert isinstance(scores, Tensor)
    assert scores.shape == (2, 3, 33, 47)
    masks = torch.zeros(2, 33, 47, dtype=torch.int64)
    functional.cross_entropy(scores, masks).backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        is_bias = name.startswith("encoder") and name.endswith("bias")  # normalised away
        assert is_bias or parameter.grad.any(), name


def test_16_bits_give_nearly_the_same_scores() -> None:
    net = fresh("segnet", 3).train()
    images = normalised("segnet", painted(2, 32, 64))
    with torch.no_grad():
        exact = net(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = net(images).float()
    assert torch.corrcoef(torch.stack([exact.flatten(), scores.flatten()]))[0, 1] > 0.8
    assert not scores.equal(exact)
