"""Checkpoint files: written by the first process, read by it for all."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from training.errors import TrainingError
from training.run import replacing


def write(path: Path, state: dict[str, Any], fabric: Fabric) -> None:
    """Write a checkpoint whole or not at all; every process waits for it.

    Args:
        path: of the file; the one there is kept until the new one is complete.
        state: tensors and plain values.
        fabric: the processes.

    Raises:
        TrainingError: it cannot be written; in every process.
    """
    problem = None
    if fabric.is_global_zero:
        try:
            with replacing(path) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises the latter
            problem = str(error).splitlines()[0]
    problem = fabric.broadcast(problem)
    if problem is not None:
        raise TrainingError(
            f"{path} cannot be written ({problem}): make room, or write elsewhere with --run, and "
            "go on with --resume; the former checkpoint is kept"
        )


def read(path: Path, fabric: Fabric) -> dict[str, Any]:
    """Read a checkpoint; the other processes need not see the file.

    Returns:
        What was written, on the CPU.

    Raises:
        TrainingError: it cannot be read; in every process.
    """
    state: dict[str, Any] = {}
    problem = None
    if fabric.is_global_zero:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file may raise nearly anything
            problem = f"{path} cannot be read, remove the run's folder: {error}"
    state, problem = fabric.broadcast((state, problem))
    if problem is not None:
        raise TrainingError(problem)
    return state
