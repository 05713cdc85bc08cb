"""Classifiers without their heads: what is left, where their weights come from, what is trained."""

from pathlib import Path

import pytest
import torch
from torch import nn

from training.nets import architectures
from training.nets.architecture import ArchitectureError, belongs
from training.nets.captioning.backbones import BACKBONES, Backbone, find, load, places, tune
from training.nets.stages import FrozenBatchNorm2d
from training.weights import WeightsError

SIDE = 64


def write_weights(name: str, path: Path, classes: int = 1000) -> nn.Module:
    """Random ones of a classifier, which they are of."""
    torch.manual_seed(0)
    net = architectures.build(name, classes).eval()
    torch.save(net.state_dict(), path)
    return net


@pytest.mark.parametrize(
    ("name", "head"),
    [("mobilenet_v2", "classifier"), ("efficientnet_lite0", "_fc"), ("resnet18", "fc")],
)
def test_a_head_on_the_mean_of_the_map_is_the_classifier(
    name: str, head: str, tmp_path: Path
) -> None:
    whole = write_weights(name, tmp_path / "w.pth")
    begun = load(name, str(tmp_path / "w.pth"))
    assert begun.source.name == "w.pth"
    assert len(begun.sha256) == 64
    assert not begun.backbone.training
    pictures = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        maps = begun.backbone(pictures)
        assert maps.shape == (2, maps.shape[1], 2, 2)
        logits = whole.get_submodule(head)(maps.mean((2, 3)))
        torch.testing.assert_close(logits, whole(pictures))
    assert not any(belongs(one, (head,)) for one, _ in begun.backbone.net.named_parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_a_map_and_every_parameter_has_a_stage(name: str) -> None:
    stride = 16 if name.startswith("vgg") else 32
    with torch.device("meta"):
        net = architectures.build(name, 7)
        backbone = Backbone(net, find(name))
        maps = backbone(torch.zeros(2, 3, 4 * stride, 5 * stride))
    assert maps.shape[0] == 2
    assert maps.shape[2:] == (4, 5)
    named = [one for one, _ in net.named_parameters()]
    heads = tuple(prefix.split(".")[0] for prefix in find(name).head)  # whole: all of a VGG's
    for one in named:
        own = [stage for stage in backbone.stages if belongs(one, stage)]
        assert len(own) == (0 if belongs(one, heads) else 1), one


def test_places_go_row_by_row() -> None:
    maps = torch.arange(24.0).reshape(1, 2, 3, 4)
    found = places(maps)
    assert found.shape == (1, 12, 2)
    assert found[0, 6].tolist() == maps[0, :, 1, 2].tolist()


@pytest.mark.parametrize("name", ["googlenet", "convnet", "unet"])
def test_what_cannot_be_a_backbone_is_told_what_can(name: str) -> None:
    with pytest.raises(ArchitectureError, match=rf"{name} cannot be a backbone; .*mobilenet_v2"):
        load(name, "none.pth")


def test_weights_must_be_of_the_backbone(tmp_path: Path) -> None:
    write_weights("efficientnet_lite0", tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="does not fit"):
        load("mobilenet_v2", str(tmp_path / "w.pth"))
    with pytest.raises(WeightsError, match="efficientnet_lite2"):
        load("mobilenet_v2", "efficientnet-lite2-imagenet")


@pytest.mark.parametrize("tuned", [0, 2, 5])
def test_the_last_stages_learn_and_no_statistic_does(tuned: int) -> None:
    name = "resnet18"
    torch.manual_seed(0)
    net = architectures.build(name, 7)
    net.set_submodule("fc", nn.Identity())
    backbone = Backbone(net, find(name))
    assert len(backbone.stages) == 5
    tune(backbone, tuned)
    learned = tuple(prefix for stage in backbone.stages[5 - tuned :] for prefix in stage)
    for one, parameter in net.named_parameters():
        assert parameter.requires_grad == belongs(one, learned), one
    of_norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(of_norms) == 20
    assert all(isinstance(module, FrozenBatchNorm2d) for module in of_norms)


@pytest.mark.parametrize("tuned", [-1, 6])
def test_no_more_stages_than_there_are(tuned: int) -> None:
    with torch.device("meta"):
        backbone = Backbone(architectures.build("resnet18", 7), find("resnet18"))
    with pytest.raises(ArchitectureError, match=f"resnet18 has 5 stages to tune, not {tuned}"):
        tune(backbone, tuned)
