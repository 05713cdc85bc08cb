"""What of a network is trained, and how fast: learning rates by depth, frozen parts."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

from torch import nn

from training.nets.architecture import Architecture, ArchitectureError, belongs


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A batch normalisation that stays in evaluation mode whatever mode its network is put in.

    Otherwise a frozen network's running statistics would follow the new pictures in training.
    """

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        del mode
        return super().train(False)


def parameter_groups(
    net: nn.Module,
    stages: Sequence[tuple[str, ...]],
    lr: float,
    layer_decay: float = 1.0,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Groups for an optimiser: a learning rate for each stage, and decay only where it belongs.

    The head learns at ``lr``, the stage before it at ``lr * layer_decay``, the next at ``lr *
    layer_decay ** 2`` and so on (Clark et al., 2020, https://arxiv.org/abs/2003.10555, appendix
    A). Biases and the parameters of normalisations, all that has one dimension, do not decay (He
    et al., 2018, https://arxiv.org/abs/1812.01187).

    Args:
        net: whose parameters to group; frozen ones are left out.
        stages: prefixes of the parameters of each stage, from the input to the output.
        lr: of the head.
        layer_decay: in (0, 1]; 1 gives every stage the same rate.
        weight_decay: of weights.

    Returns:
        Dictionaries with ``params``, ``lr``, ``weight_decay`` and ``name`` (``"layer1"``,
        ``"layer1 (no decay)"``), from the input to the output.

    Raises:
        ValueError: a parameter lies in no stage, so the network is of another architecture.
    """
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    found = 0
    for depth, prefixes in enumerate(reversed(stages)):
        own = [p for name, p in named if belongs(name, prefixes)]
        found += len(own)
        weights = [p for p in own if p.ndim > 1]
        others = [p for p in own if p.ndim <= 1]
        rate = lr * layer_decay**depth
        for params, decay, mark in ((others, 0.0, " (no decay)"), (weights, weight_decay, "")):
            if params:
                name = f"{prefixes[0]}{mark}"
                groups.append({"params": params, "lr": rate, "weight_decay": decay, "name": name})
    if found != len(named):
        strays = [
            name for name, _ in named if not any(belongs(name, prefixes) for prefixes in stages)
        ]
        raise ValueError(f"{', '.join(strays[:5])} belong to no stage of the network")
    return groups[::-1]


def freeze(net: nn.Module, architecture: Architecture) -> None:
    """Keep everything but the head as it is: weights, and running statistics too.

    The network's batch normalisations outside the head become :class:`FrozenBatchNorm2d`; the
    parameters stay the same objects under the same names.
    """
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(belongs(name, architecture.head))
    freeze_statistics(net, architecture.head)


def freeze_parameters(net: nn.Module, prefixes: tuple[str, ...]) -> None:
    """Keep the parameters under some prefixes as they are."""
    for name, parameter in net.named_parameters():
        if belongs(name, prefixes):
            parameter.requires_grad_(False)


def first_stages(
    name: str, stages: tuple[tuple[str, ...], ...], count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prefixes of the first stages of a network below its head, and of all others.

    Raises:
        ArchitectureError: there are not so many stages below the head; it says so of ``name``.
    """
    most = len(stages) - 1
    if not 0 <= count <= most:
        raise ArchitectureError(f"{name} has {most} stages to freeze, not {count}")
    first, others = chain(*stages[:count]), chain(*stages[count:])
    return tuple(first), tuple(others)


def freeze_statistics(net: nn.Module, but: tuple[str, ...] = ()) -> None:
    """Keep the running statistics of batch normalisation, and use them in training too.

    For batches too small to tell the statistics of a whole set. Scales and shifts go on learning
    if they did. The modules become :class:`FrozenBatchNorm2d`; those under the prefixes ``but``
    stay as they are.
    """
    for name, module in list(net.named_modules()):
        if type(module) is nn.BatchNorm2d and not belongs(name, but):
            net.set_submodule(name, _copy(module, FrozenBatchNorm2d).eval())


def unfreeze(net: nn.Module) -> None:
    """Let everything learn again: undoes :func:`freeze`."""
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    for name, module in list(net.named_modules()):
        if isinstance(module, FrozenBatchNorm2d):
            net.set_submodule(name, _copy(module, nn.BatchNorm2d).train(net.training))


def _copy(norm: nn.BatchNorm2d, kind: type[nn.BatchNorm2d]) -> nn.BatchNorm2d:
    """A normalisation of another kind with the same parameters and statistics."""
    copy = kind(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    copy.weight, copy.bias = norm.weight, norm.bias
    copy.running_mean, copy.running_var = norm.running_mean, norm.running_var
    copy.num_batches_tracked = norm.num_batches_tracked
    return copy
