"""A recipe's networks as Fabric wraps them for the device, the precision and the processes."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


class Wrapped:
    """Networks to call in training.

    Attributes:
        plain: the recipe's own, moved to the device; the wrapped ones share their weights.
        networks: to call, by name.
    """

    def __init__(self, networks: Mapping[str, nn.Module], fabric: Fabric) -> None:
        """Move and wrap; the first process's weights go to all."""
        self._fabric = fabric
        self.plain = dict(networks)
        self._trained = {
            name: fabric.setup_module(network)
            for name, network in networks.items()
            if any(parameter.requires_grad for parameter in network.parameters())
        }
        self.networks: dict[str, nn.Module] = {
            name: self._trained.get(name) or Untrained(fabric.to_device(network), fabric)
            for name, network in networks.items()
        }

    def train(self) -> None:
        """Put all in training mode."""
        for network in self.networks.values():
            network.train()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Gradients made in here stay in this process; those of the next backward take them on."""
        with ExitStack() as stack:
            for network in self._trained.values():
                stack.enter_context(self._fabric.no_backward_sync(network))
            yield


class Untrained(nn.Module):
    """A network that no gradient changes, such as a loss network or a Q-learner's target.

    DistributedDataParallel refuses such a one, as there are no gradients to share.
    """

    def __init__(self, network: nn.Module, fabric: Fabric) -> None:
        super().__init__()
        self._network = network
        self._precision = fabric.strategy.precision

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network in the chosen precision."""
        args, kwargs = self._precision.convert_input((args, kwargs))
        with self._precision.forward_context():
            output = self._network(*args, **kwargs)
        return self._precision.convert_output(output)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("_network"), name)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own, without a prefix."""
        return self._network.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own, without a prefix."""
        return self._network.load_state_dict(*args, **kwargs)


def share_buffers(networks: Mapping[str, nn.Module], fabric: Fabric) -> None:
    """Give every process the first one's buffers.

    Each process updates the running statistics of batch normalisation from what it sees. They
    count when the networks are measured, so that is when to call this; in training the statistics
    of the batch count, and sharing the others at each call, as DistributedDataParallel would, is
    time lost.
    """
    if fabric.world_size == 1:
        return
    with torch.no_grad():
        for network in networks.values():
            for buffer in network.buffers():
                shared: Tensor = fabric.broadcast(buffer.cpu())
                buffer.copy_(shared)
