"""How a model was trained, for the configuration in its manifest."""

from collections.abc import Mapping

from training.devices import Devices, machine
from training.optimisation import Optimisation
from training.settings import Training


def how_trained(
    training: Training, optimisation: Optimisation, devices: Devices, seconds: float
) -> Mapping[str, str | int | float]:
    """What every task's manifest tells of the training.

    Args:
        training: how long.
        optimisation: how the weights were moved.
        devices: where.
        seconds: that it took.
    """
    return {
        "epochs": training.epochs,
        "batch_size": optimisation.batch_size,
        "optimizer": optimisation.optimizer,
        "lr": optimisation.lr,
        "weight_decay": optimisation.weight_decay,
        "precision": devices.precision,
        "machine": machine(devices),
        "minutes": round(seconds / 60),
    }
