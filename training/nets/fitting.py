"""Weights that must be those of a network: the same names, the same shapes, or none at all."""

from collections.abc import Callable

from torch import nn

from training.conversions import State
from training.weights import WeightsError

_SHOWN = 4


def fit(
    net: nn.Module,
    state: State,
    locator: str,
    what: str,
    fresh: Callable[[str], bool] = lambda _: False,
) -> None:
    """Load a state dictionary, all or nothing.

    Args:
        net: takes it.
        state: tensors by the names of the network's. The counters of batch normalisation may be
            missing: older files have none, and with a fixed momentum nothing reads them.
        locator: of the weights, for the error.
        what: the network is, for the error.
        fresh: tells by its name whether a tensor is to keep the value the network was built with.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; the network is as it was.
    """
    known = net.state_dict()
    given = {name: tensor for name, tensor in state.items() if not fresh(name)}
    needed = {name for name in known if not (name.endswith(".num_batches_tracked") or fresh(name))}
    problems = [
        *(f"no {name}" for name in sorted(needed - given.keys())),
        *(f"{name}, which the network lacks" for name in sorted(given.keys() - known.keys())),
        *(
            f"{name} {tuple(given[name].shape)} in place of {tuple(known[name].shape)}"
            for name in sorted(given.keys() & known.keys())
            if given[name].shape != known[name].shape
        ),
    ]
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise WeightsError(
            f"{locator} does not fit the {what}: it has {', '.join(problems[:_SHOWN])}{more}; "
            "is it of another architecture or of other classes?"
        )
    net.load_state_dict(given, strict=False)
