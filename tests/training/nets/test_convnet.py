import pytest
import torch
from torch import nn

from training.nets.convnet import PLAIN_STD, ConvNet


def test_the_default_is_the_network_of_the_literature() -> None:
    net = ConvNet(10)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [16, 16, 32, 32, 64, 64]
    assert {conv.kernel_size for conv in convs} == {(3, 3)}
    assert net.hidden.out_features == 50
    assert net.dropout.p == 0.5


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (1, 33)])
def test_it_takes_pictures_of_its_size(channels: int, size: int) -> None:
    net = ConvNet(7, channels=channels, size=size, widths=(4, 8, 8)).eval()
    assert net(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_batch_normalisation_stands_after_every_convolution_or_nowhere() -> None:
    normalised = ConvNet(10, widths=(4, 8), convs_per_stage=3)
    kinds = [type(module) for module in normalised.stages.modules()]
    assert kinds.count(nn.BatchNorm2d) == kinds.count(nn.Conv2d) == 6
    plain = ConvNet(10, widths=(4, 8), batch_norm=False)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert all(m.bias is not None for m in plain.modules() if isinstance(m, nn.Conv2d))


def test_he_initialisation_keeps_the_signal_and_plain_loses_it() -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 1, 28, 28)
    he = ConvNet(10, batch_norm=False).eval()
    plain = ConvNet(10, batch_norm=False, initialisation="plain").eval()
    assert 0.1 < he(images).std() < 10
    assert plain(images).std() < 1e-6
    assert plain.hidden.weight.std().item() == pytest.approx(PLAIN_STD, rel=0.05)
    assert not plain.head.bias.any()
