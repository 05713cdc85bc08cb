"""The moving average of the weights."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averages:
    """Exponential moving averages of networks; none without a decay.

    Buffers such as the running statistics of batch normalisation are averaged like the weights
    (Tarvainen and Valpola, 2017, https://arxiv.org/abs/1703.01780). A network that is not trained,
    such as a Q-learner's target, has no average: it is measured as it is.
    """

    def __init__(self, networks: Mapping[str, nn.Module], decay: float | None) -> None:
        """Average those of the networks that are trained; they must be on their device already."""
        self._networks = networks
        self._averages: dict[str, AveragedModel] = {}
        if decay is not None:
            self._averages = {
                name: AveragedModel(
                    network,
                    multi_avg_fn=get_ema_multi_avg_fn(decay),  # type: ignore[no-untyped-call]
                    use_buffers=True,
                )
                for name, network in networks.items()
                if any(parameter.requires_grad for parameter in network.parameters())
            }

    def update(self) -> None:
        """Take in the weights of a step; the first ones are taken as they are."""
        for name, average in self._averages.items():
            average.update_parameters(self._networks[name])

    def measured(self) -> dict[str, nn.Module]:
        """The networks that count: the averages where there are any."""
        return {
            name: self._averages[name].module if name in self._averages else network
            for name, network in self._networks.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {name: average.state_dict() for name, average in self._averages.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        for name, average in self._averages.items():
            average.load_state_dict(state[name])
