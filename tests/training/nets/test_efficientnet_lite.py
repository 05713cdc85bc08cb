import pytest
import torch

from training.nets.efficientnet_lite import SCALES, SameConv2d, efficientnet_lite

# Trainable parameters in millions, as published for 1000 classes.
PUBLISHED_MILLIONS = {
    "efficientnet_lite0": 4.7,
    "efficientnet_lite1": 5.4,
    "efficientnet_lite2": 6.1,
    "efficientnet_lite3": 8.2,
    "efficientnet_lite4": 13.0,
}


@pytest.mark.parametrize("name", SCALES)
def test_each_member_has_its_published_size(name: str) -> None:
    with torch.device("meta"):
        net = efficientnet_lite(name)
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    assert round(millions, 1) == PUBLISHED_MILLIONS[name]


def test_the_parameters_have_the_published_names() -> None:
    with torch.device("meta"):
        keys = list(efficientnet_lite("efficientnet_lite0").state_dict())
    assert keys[0] == "_conv_stem.weight"
    assert keys[-2:] == ["_fc.weight", "_fc.bias"]
    assert len(keys) == 296
    assert {key.split(".")[2] for key in keys if key.startswith("_blocks.0.")} == {
        "_depthwise_conv",
        "_bn1",
        "_project_conv",
        "_bn2",
    }


def test_forward_gives_logits_at_any_size() -> None:
    net = efficientnet_lite("efficientnet_lite0", classes=7).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 64, 48)).shape == (2, 7)
        assert net.features(torch.zeros(1, 3, 65, 33)).shape == (1, 1280, 3, 2)


@pytest.mark.parametrize(("size", "kernel", "rows_above"), [(8, 3, 0), (9, 3, 1), (8, 5, 1)])
def test_same_padding_goes_below_where_it_is_odd(size: int, kernel: int, rows_above: int) -> None:
    conv = SameConv2d(1, 1, kernel, stride=2, bias=False)
    torch.nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.weight[0, 0, 0, 0] = 1  # reads the first row and column of each window
        picture = torch.arange(1.0, size * size + 1).reshape(1, 1, size, size)
        output = conv(picture)
    side = -(-size // 2)
    assert output.shape == (1, 1, side, side)
    assert (output[0, 0, 0, 0] == 0) == (rows_above > 0)
