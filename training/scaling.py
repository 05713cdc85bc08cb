"""How fast a training step becomes with more processes, and with fewer bits.

Each measurement is a group of fresh processes started by ``torch.distributed.run``; what one of
them does is ``python -m training.scaling``. Every process has a batch of its own, so the whole
batch grows with their number (weak scaling).
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from torch.nn import functional

from training.devices import Devices, Precision, launch
from training.errors import TrainingError
from training.nets import architectures
from training.run import write_whole

_CLASSES = 10
_LITERATURE = """\
For comparison: TensorFlow 0.8 was announced with a factor of 56 on 100 GPUs, an efficiency of
56 %, for Inception on ImageNet across machines (D. Murray, "Announcing TensorFlow 0.8 - now with
distributed computing support!", Google Research blog, 13 April 2016,
https://research.google/blog/announcing-tensorflow-08-now-with-distributed-computing-support/). On
synchronous SGD at that scale see J. Chen et al., "Revisiting Distributed Synchronous SGD", 2016,
https://arxiv.org/abs/1604.00981. Here all processes are on one machine, so the efficiencies can be
set side by side with some care, and the factors cannot.
"""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one group of processes reached.

    Attributes:
        processes: how many.
        precision: of the arithmetic.
        seconds: the median of a step's, in the first process.
        images: pictures a second, of all processes.
    """

    processes: int
    precision: str
    seconds: float
    images: float


@dataclass(frozen=True)
class Scaling:
    """Measure a training step with 1, 2, 4, ... processes and in each precision."""

    architecture: str = "resnet20"
    """Network, as in ``classify``."""
    size: int = 32
    """Side of the made-up pictures, in pixels."""
    batch_size: int = 64
    """Pictures a batch and process."""
    processes: tuple[int, ...] = ()
    """How many at a time; 1, 2, 4, ... up to the GPUs, or the cores, if left out."""
    precisions: tuple[Precision, ...] = ()
    """All that the hardware has if left out: 32-true, bf16-mixed and, on a GPU, 16-mixed."""
    steps: int = 20
    """Steps that are timed."""
    warmup: int = 3
    """Steps before them."""
    out: Path = Path("scaling.md")
    """File to write the table to."""

    def __post_init__(self) -> None:
        for name in ("size", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if any(count < 1 for count in self.processes):
            raise ValueError(f"processes must be at least 1 each, not {self.processes}")

    def run(self, console: Console) -> None:
        """Measure, and write the table.

        Raises:
            TrainingError: a group of processes failed; the message holds what it said.
        """
        architectures.find(self.architecture)  # before anything is started
        speeds = []
        for precision in self.precisions or _precisions():
            for count in self.processes or _counts():
                speed = self._measure(count, precision)
                console.print(f"{count} x {precision}: {speed.images:.0f} images/s")
                speeds.append(speed)
        write_whole(self.out, self.report(speeds))
        console.print(f"wrote {self.out}")

    def _measure(self, processes: int, precision: Precision) -> Speed:
        with tempfile.TemporaryDirectory(prefix="scaling.") as folder:
            result = Path(folder) / "speed.json"
            order = {
                "architecture": self.architecture,
                "size": self.size,
                "batch_size": self.batch_size,
                "steps": self.steps,
                "warmup": self.warmup,
                "precision": precision,
                "result": str(result),
            }
            launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
            command = ["-m", *launcher, "-m", "training.scaling", json.dumps(order)]
            done = subprocess.run(
                [sys.executable, *command],
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # a process is a core on a CPU
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise TrainingError(
                    f"{processes} processes in {precision} failed:\n{done.stderr[-2000:]}"
                )
            return Speed(**json.loads(result.read_text()))

    def report(self, speeds: Sequence[Speed]) -> str:
        """A page of Markdown; speed-up and efficiency are against one's own precision alone."""
        single = {speed.precision: speed.images for speed in speeds if speed.processes == 1}
        rows = []
        for speed in speeds:
            ratio = speed.images / single[speed.precision] if speed.precision in single else None
            rows.append(
                f"| {speed.precision} | {speed.processes} | {1000 * speed.seconds:.1f} "
                f"| {speed.images:.0f} | "
                + (f"{ratio:.2f} | {ratio / speed.processes:.0%} |" if ratio else "- | - |")
            )
        return "\n".join(
            [
                "# Scaling of a training step",
                "",
                f"`{self.architecture}`, {self.size}x{self.size} pictures, {self.batch_size} a "
                f"process: forward, backward, the sharing of gradients and an SGD step, the median "
                f"of {self.steps} after {self.warmup}. {_machine()}; PyTorch {torch.__version__}.",
                "",
                "| precision | processes | ms a step | images/s | speed-up | efficiency |",
                "|---|---:|---:|---:|---:|---:|",
                *rows,
                "",
                _LITERATURE,
            ]
        )


def _precisions() -> tuple[Precision, ...]:
    if torch.cuda.is_available():
        return ("32-true", "bf16-mixed", "16-mixed")
    return ("32-true", "bf16-mixed")


def _counts() -> tuple[int, ...]:
    most = torch.cuda.device_count() or os.cpu_count() or 1
    return tuple(1 << power for power in range(most.bit_length()))


def _machine() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}, NCCL"
    return f"{os.cpu_count()} cores of {platform.machine()}, one a process, gloo"


def _times(
    fabric: Fabric, architecture: str, size: int, batch_size: int, steps: int
) -> list[float]:
    """Take steps on a made-up batch; the seconds of each."""
    torch.manual_seed(0)
    plain = architectures.build(architecture, _CLASSES, small_images=size <= 64, size=size)
    plain = plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net, optimizer = fabric.setup(plain, torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.9))
    pictures = torch.randn(batch_size, 3, size, size, device=fabric.device)
    targets = torch.randint(_CLASSES, (batch_size,), device=fabric.device)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(steps):
        fabric.barrier()
        began = time.perf_counter()
        output = net(pictures)
        logits = output if isinstance(output, torch.Tensor) else output[0]
        fabric.backward(functional.cross_entropy(logits, targets))
        optimizer.step()
        optimizer.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def main(order: str) -> None:
    """Be one of the processes: measure what the JSON says, and let the first one write it."""
    told = json.loads(order)
    fabric = launch(Devices(precision=told["precision"]))
    seconds = _times(
        fabric,
        told["architecture"],
        told["size"],
        told["batch_size"],
        told["warmup"] + told["steps"],
    )[told["warmup"] :]
    median = sorted(seconds)[len(seconds) // 2]
    if fabric.is_global_zero:
        images = told["batch_size"] * fabric.world_size / median
        speed = Speed(fabric.world_size, told["precision"], median, images)
        Path(told["result"]).write_text(json.dumps(asdict(speed)))
    fabric.barrier()


if __name__ == "__main__":
    main(sys.argv[1])
