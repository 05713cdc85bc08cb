"""Batch normalisations that change nothing until they are trained."""

import torch
from torch import Tensor, nn

from training.nets.segmentation.bodies import vgg16_features
from training.nets.segmentation.normalised import begin_as_identity


def without_norms(net: nn.Sequential, images: Tensor) -> Tensor:
    """What the other layers of a network give."""
    x = images.clone()
    for module in net:
        x = x if isinstance(module, nn.BatchNorm2d) else module(x)
    return x


def test_a_network_goes_on_as_it_was() -> None:
    torch.manual_seed(0)
    net = vgg16_features(batch_norm=True).eval()
    for module in net:
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias)
    images = 3 + 2 * torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = without_norms(net, images)
        assert not torch.allclose(net.train()(images), expected, rtol=0.1)
    begin_as_identity(net.eval(), images)
    assert not net.training
    tolerance = 0.01 * float(expected.std())
    with torch.no_grad():
        for is_training in (True, False):
            found = net.train(is_training)(images)
            torch.testing.assert_close(found, expected, rtol=0.01, atol=tolerance)
    for parameter in net.parameters():
        assert torch.isfinite(parameter).all()
        assert parameter.requires_grad


def test_a_map_that_is_always_zero_does_no_harm() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()).train()
    images = torch.cat([torch.zeros(2, 1, 4, 4), torch.rand(2, 1, 4, 4)], 1)
    begin_as_identity(net, images)
    assert net.training
    torch.testing.assert_close(net(images), images)
