"""Batch normalisations in a network that was trained without, so that it goes on as it was."""

from typing import Any

import torch
from torch import Tensor, nn


def begin_as_identity(net: nn.Module, images: Tensor) -> None:
    """Set every batch normalisation so that, for these pictures, it changes nothing.

    Its scale and shift become the deviation and the mean of what it sees, which it then takes off.
    Weights of a network without normalisations keep what they tell, and training starts there.

    Args:
        net: a sequence of layers; put into evaluation mode and back.
        images: ``float32[N, C, H, W]`` as in training, enough to tell statistics.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_match) for norm in norms]
    was_training = net.training
    try:
        with torch.no_grad():
            net.eval()(images)  # by the statistics just set, which then stay
    finally:
        for hook in hooks:
            hook.remove()
        net.train(was_training)


def _match(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
