"""Normalisations become part of convolutions, and outputs stay."""

import pytest
import torch
from torch import Tensor, nn

from training.nets.architectures import build
from training.nets.folding import fold_norms
from training.nets.stages import FrozenBatchNorm2d, freeze_statistics


def with_statistics(net: nn.Module, example: Tensor) -> nn.Module:
    """In evaluation mode, after some pictures and with scales and shifts unlike those at first."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    with torch.no_grad():
        net.train()(example)
    return net.eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_lite0"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_gives_what_it_gave(name: str, frozen: bool) -> None:
    torch.manual_seed(0)
    pictures = torch.randn(4, 3, 64, 64)
    net = with_statistics(build(name, 7), pictures)
    if frozen:
        freeze_statistics(net)
        assert any(isinstance(module, FrozenBatchNorm2d) for module in net.modules())
    count, others = norms(net), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = net(others)
        assert fold_norms(net, pictures[:1]) == count > 15
        assert norms(net) == 0
        after = net(others)
    assert float((before[0] - before[1]).abs().max()) > 1e-3
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert fold_norms(net, pictures[:1]) == 0


@pytest.mark.parametrize("bias", [False, True])
def test_the_convolution_alone_does_what_both_did(bias: bool) -> None:
    torch.manual_seed(0)
    pictures = torch.randn(4, 3, 8, 8)
    net = with_statistics(
        nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=bias), nn.BatchNorm2d(6)), pictures
    )
    with torch.no_grad():
        expected = net(pictures)
        assert fold_norms(net, pictures) == 1
        torch.testing.assert_close(net[0](pictures), expected)  # type: ignore[index]


@pytest.mark.parametrize("inplace", [False, True])
def test_a_normalisation_of_something_else_stays(inplace: bool) -> None:
    torch.manual_seed(0)
    pictures = torch.randn(4, 3, 8, 8)
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3), nn.ReLU(inplace), nn.BatchNorm2d(6))
    net = with_statistics(net, pictures)  # type: ignore[assignment]
    with torch.no_grad():
        before = net(pictures)
        assert fold_norms(net, pictures) == 0
        assert norms(net) == 2
        assert net(pictures).equal(before)


def test_no_hook_is_left() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)).eval()
    with pytest.raises(RuntimeError):
        fold_norms(net, torch.zeros(1, 5, 8, 8))
    assert norms(net) == 1
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
