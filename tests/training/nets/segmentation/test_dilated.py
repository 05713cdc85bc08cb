"""torchvision's FCN: its parameters, its scores, and its body where another paper's was."""

import pytest
import torch
from torch import nn
from torchvision.models import segmentation

from training.nets.segmentation.bodies import ResNetBody
from training.nets.segmentation.dilated import DilatedFcn

CLASSES = 4


def settled(net: nn.Module) -> nn.Module:
    """In evaluation mode, with running statistics that are not those of fresh layers."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_it_has_torchvisions_parameters(name: str) -> None:
    builder = {"resnet50": segmentation.fcn_resnet50, "resnet101": segmentation.fcn_resnet101}
    with torch.device("meta"):
        theirs = builder[name](weights_backbone=None, num_classes=CLASSES, aux_loss=True)
        ours = DilatedFcn(name, CLASSES)
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in theirs.state_dict().items()}


@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_it_scores_as_torchvisions_does(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    theirs = segmentation.fcn_resnet50(weights_backbone=None, num_classes=CLASSES, aux_loss=True)
    settled(theirs)
    ours = DilatedFcn("resnet50", CLASSES)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, *size)
    with torch.inference_mode():
        expected = theirs(images)
        torch.testing.assert_close(ours.eval()(images), expected["out"])
        ours.backbone.eval()
        ours.training = True  # the auxiliary scores, with the statistics of evaluation
        scores, auxiliary = ours(images)
    torch.testing.assert_close(scores, expected["out"])
    enlarged = nn.functional.interpolate(auxiliary, size, mode="bilinear")
    torch.testing.assert_close(enlarged, expected["aux"])
    assert expected["out"].std() > 0


@pytest.mark.parametrize("name", ["resnet50", "resnet50_keras"])
def test_a_spread_body_sees_what_one_that_halves_sees_and_more(name: str) -> None:
    """Every fourth row and column of its last map is the last map of the classifier."""
    torch.manual_seed(0)
    halving = ResNetBody(name)
    settled(halving)
    spread = DilatedFcn(name, CLASSES).eval().backbone
    spread.load_state_dict(halving.state_dict())
    images = torch.randn(1, 3, 128, 192)
    with torch.inference_mode():
        fine, middle, last = halving(images)
        maps = spread(images)
        assert maps["out"].shape[-2:] == fine.shape[-2:] == (16, 24)
        torch.testing.assert_close(maps["aux"][..., ::2, ::2], middle, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(maps["out"][..., ::4, ::4], last, rtol=1e-3, atol=1e-3)
    assert last.std() > 0.1
