import copy
from typing import Any

import pytest
import torch
from torch import nn

from training.nets.architectures import build, find
from training.nets.stages import FrozenBatchNorm2d, freeze, parameter_groups, unfreeze

RESNET = find("resnet20")


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return build("resnet20", 3)


def rates(groups: list[dict[str, Any]]) -> dict[str, float]:
    return {group["name"]: group["lr"] for group in groups}


def test_each_stage_below_the_head_learns_more_slowly(net: nn.Module) -> None:
    groups = parameter_groups(net, RESNET.stages, 0.8, layer_decay=0.5, weight_decay=0.1)
    by_name = rates(groups)
    stages = ("conv1", "layer1", "layer2", "layer3", "fc")
    assert [by_name[name] for name in stages] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert all(by_name[f"{name} (no decay)"] == by_name[name] for name in stages)


def test_every_parameter_is_in_one_group_and_only_weights_decay(net: nn.Module) -> None:
    groups = parameter_groups(net, RESNET.stages, 1.0, weight_decay=0.1)
    params = [parameter for group in groups for parameter in group["params"]]
    assert {id(p) for p in params} == {id(p) for p in net.parameters()}
    assert len(params) == len(list(net.parameters()))
    for group in groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.1}
    torch.optim.SGD(groups)  # takes them as they are


def test_a_network_of_another_architecture_is_refused(net: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"conv1\.weight.* belong to no stage"):
        parameter_groups(net, find("convnet").stages, 1.0)


def test_a_frozen_network_changes_nothing_but_its_head(net: nn.Module) -> None:
    before = copy.deepcopy(net.state_dict())
    freeze(net, RESNET)
    groups = parameter_groups(net, RESNET.stages, 0.1)
    assert {group["name"] for group in groups} == {"fc", "fc (no decay)"}
    optimizer = torch.optim.SGD(groups)
    net.train()
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    after = net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_a_frozen_network_stays_frozen_when_copied(net: nn.Module) -> None:
    freeze(net, RESNET)
    copied = copy.deepcopy(net).train()
    norms = [module for module in copied.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


def test_unfreezing_gives_the_same_parameters_back(net: nn.Module) -> None:
    parameters = dict(net.named_parameters())
    freeze(net, RESNET)
    net.train()
    unfreeze(net)
    assert all(p.requires_grad and p is parameters[name] for name, p in net.named_parameters())
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in net.modules())
    assert all(module.training for module in net.modules())
    mean = net.get_buffer("bn1.running_mean").clone()
    net(torch.randn(4, 3, 32, 32))
    assert not torch.equal(net.get_buffer("bn1.running_mean"), mean)
