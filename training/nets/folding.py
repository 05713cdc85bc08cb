"""Batch normalisations taken into the convolutions before them, for networks that learn no more."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_norms(net: nn.Module, example: Tensor) -> int:
    """Make each normalisation part of the convolution whose output alone it takes, in place.

    What the network gives stays the same but for rounding. Which convolution is meant is seen by
    running the network.

    Args:
        net: in evaluation mode.
        example: its input.

    Returns:
        How many were folded.
    """
    made: dict[int, nn.Conv2d] = {}
    outputs: list[Tensor] = []  # kept, so that no two have the same address
    before: dict[nn.BatchNorm2d, nn.Conv2d] = {}

    def made_by(module: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        made[id(output)] = module
        outputs.append(output)

    def taken_by(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        if id(inputs[0]) in made and not inputs[0]._version:  # nor changed in place since
            before[module] = made[id(inputs[0])]

    hooks = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(made_by))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(taken_by))
    try:
        with torch.no_grad():  # inference mode keeps no versions
            net(example)
    finally:
        for hook in hooks:
            hook.remove()
    names = {module: name for name, module in net.named_modules()}
    for norm, conv in before.items():
        _fold(conv, norm)
        net.set_submodule(names[norm], nn.Identity())
    return len(before)


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    conv.weight, conv.bias = weight, bias
