import pytest
import torch
from torch import nn

from training.nets.resnet_small import Block, SmallResNet

# Parameters in millions for 10 classes: He et al., 2015, table 6.
PUBLISHED_MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}


@pytest.mark.parametrize("depth", PUBLISHED_MILLIONS)
def test_each_depth_has_its_published_size(depth: int) -> None:
    with torch.device("meta"):
        net = SmallResNet(depth, 10)
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED_MILLIONS[depth], abs=0.04)
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


def test_a_plain_network_has_the_same_parameters_and_computes_something_else() -> None:
    torch.manual_seed(0)
    residual = SmallResNet(8, 5, channels=1).eval()
    plain = SmallResNet(8, 5, channels=1, skip=False).eval()
    plain.load_state_dict(residual.state_dict())
    images = torch.randn(2, 1, 32, 32)
    assert residual(images).shape == plain(images).shape == (2, 5)
    assert not torch.allclose(residual(images), plain(images))


def test_the_shortcut_takes_every_other_pixel_and_adds_empty_channels() -> None:
    block = Block(2, 4, stride=2, skip=True).eval()
    nn.init.zeros_(block.bn2.weight)  # nothing but the shortcut comes through
    picture = torch.arange(1.0, 33).reshape(1, 2, 4, 4)
    with torch.no_grad():
        output = block(picture)
    assert output.shape == (1, 4, 2, 2)
    assert torch.equal(output[:, 1:3], picture[:, :, ::2, ::2])
    assert not output[:, [0, 3]].any()


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="6n"):
        SmallResNet(depth, 10)
