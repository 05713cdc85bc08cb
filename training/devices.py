"""Where training runs: processors, processes, machines and precision, all Lightning Fabric's."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Devices:
    """Where training runs. ``torchrun`` and SLURM are recognised by themselves.

    Raises:
        ValueError: there is less than one process or machine.
    """

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What computes; the best there is by default."""
    devices: int = 1
    """Processes on this machine, each with a GPU or a share of the CPU; torchrun's word counts."""
    nodes: int = 1
    """Machines that train together; torchrun's word counts."""
    precision: Precision = "32-true"
    """Of the arithmetic; bf16-mixed is about twice as fast on GPUs and CPUs that have it."""

    def __post_init__(self) -> None:
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


def machine(chosen: Devices) -> str:
    """What a training of these devices runs on here, for a model card: no name of a host."""
    uses_gpu = chosen.accelerator in ("auto", "cuda") and torch.cuda.is_available()
    processes = chosen.devices * chosen.nodes
    if uses_gpu:
        return f"{processes} x {torch.cuda.get_device_name()}"
    threads = torch.get_num_threads()
    plural = "" if processes * threads == 1 else "s"
    return f"{processes * threads} core{plural} ({_processor()})"


def _processor() -> str:
    """The processor's model, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def launch(chosen: Devices) -> Fabric:
    """Start the processes that train together; this one goes on as one of them."""
    devices, nodes = chosen.devices, chosen.nodes
    if torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    fabric = Fabric(
        accelerator=chosen.accelerator,
        devices=devices,
        num_nodes=nodes,
        precision=chosen.precision,
        # Buffers are shared when networks are measured: see training.wrapped.share_buffers.
        strategy="auto" if devices * nodes == 1 else DDPStrategy(forward_sync_buffers=False),
    )
    fabric.launch()
    return fabric


def processes(fabric: Fabric) -> int:
    """How many processes train on this machine."""
    strategy = fabric.strategy
    return strategy.num_processes if isinstance(strategy, DDPStrategy) else 1
