"""How the weights of a network are moved, whatever its task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from training.nets.stages import parameter_groups
from training.ranges import need

_MOMENTUM = 0.9


@dataclass(frozen=True)
class Optimisation:
    """How the weights are moved.

    Raises:
        ValueError: an option is out of its range.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """AdamW, Adam, or SGD with Nesterov's momentum 0.9."""
    lr: float = 1e-3
    """Learning rate at its height, of the head where rates differ by layer."""
    batch_size: int = 64
    """Pictures a batch, over all processes; all there are where these are fewer."""
    weight_decay: float = 0.01
    """Of weights; biases and normalisations never decay."""
    layer_decay: float = 1.0
    """What the learning rate falls by from each stage of the network to the one before it."""

    def __post_init__(self) -> None:
        need(self.lr > 0, "lr", "above 0", self.lr)
        need(self.batch_size >= 1, "batch-size", "at least 1", self.batch_size)
        need(self.weight_decay >= 0, "weight-decay", "0 or more", self.weight_decay)
        need(0 < self.layer_decay <= 1, "layer-decay", "above 0 and at most 1", self.layer_decay)


def optimizer(net: nn.Module, stages: Sequence[tuple[str, ...]], chosen: Optimisation) -> Optimizer:
    """The optimizer of a network whose parameters are grouped by stage.

    Args:
        net: frozen parameters are left out.
        stages: see ``training.nets.stages.parameter_groups``.
        chosen: what moves the weights, and how fast.
    """
    groups = parameter_groups(net, stages, chosen.lr, chosen.layer_decay, chosen.weight_decay)
    for group in groups:
        group.pop("name")
    if chosen.optimizer == "sgd":
        return SGD(groups, lr=chosen.lr, momentum=_MOMENTUM, nesterov=True)
    return (AdamW if chosen.optimizer == "adamw" else Adam)(groups, lr=chosen.lr)
