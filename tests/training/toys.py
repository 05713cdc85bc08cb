"""Tiny recipes, and ways to train one in processes of their own, which can be killed."""

import io
import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric

from training.data.order import Order
from training.devices import Devices, launch
from training.loop import Outcome, Training, fit
from training.recipe import Objective, Part, Recipe
from training.run import Run


class Regress(Recipe):
    """A small network that learns a fixed function of 48 points."""

    def __init__(
        self,
        *,
        batch: int = 8,
        dropout: float = 0.0,
        norm: bool = False,
        optimizer: str = "adam",
        noise: float = 0.0,
        lr: float = 0.01,
        signal_at: int | None = None,
        signal_number: int = signal.SIGKILL,
        fail_at: int | None = None,
        nan_at: int | None = None,
        unlucky: int = 0,
    ) -> None:
        torch.manual_seed(5)
        layers: list[nn.Module] = [nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1)]
        if norm:
            layers.insert(1, nn.BatchNorm1d(8))
        net = nn.Sequential(*layers)
        self.networks = {"net": net}
        self.optimizers = {
            "main": torch.optim.Adam(net.parameters(), lr=lr)
            if optimizer == "adam"
            else torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
        }
        generator = torch.Generator().manual_seed(1)
        self.points = torch.randn(48, 3, generator=generator)
        self.values = self.points.prod(1, keepdim=True)
        self.batch, self.noise = batch, noise
        self.signal_at, self.signal_number = signal_at, signal_number
        self.fail_at, self.nan_at, self.unlucky = fail_at, nan_at, unlucky
        self.updates = 0

    @property
    def batches_per_epoch(self) -> int:
        return len(self.points) // self.batch

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[tuple[Tensor, Tensor]]:
        order = Order(len(self.points), self.batch, seed=3, epoch=epoch, first=first, part=part)
        for indices in order:
            yield self.points[indices], self.values[indices]

    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        is_unlucky = _rank() == self.unlucky
        if self.updates == self.signal_at and is_unlucky:
            os.kill(os.getpid(), self.signal_number)
        if self.updates == self.fail_at and is_unlucky:
            raise RuntimeError("made to fail")
        points, values = batch
        points = points + self.noise * torch.randn_like(points)
        loss = functional.mse_loss(networks["net"](points), values)
        if self.updates == self.nan_at and is_unlucky:
            loss = loss * float("nan")
        self.updates += 1
        yield Objective(loss, logged={"error": (loss.detach() ** 0.5)})

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        mean = MeanMetric()
        points = self.points[part.rank :: part.world]
        mean.update((networks["net"](points) - self.values[part.rank :: part.world]) ** 2)
        return {"loss": float(mean.compute())}

    def state(self) -> Mapping[str, Any]:
        return {"updates": self.updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.updates = state["updates"]


class Gan(Recipe):
    """A generator and a discriminator, with batch normalisation in both."""

    def __init__(self, *, signal_at: int | None = None) -> None:
        torch.manual_seed(6)
        generator = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        critic = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
        self.networks = {"generator": generator, "discriminator": critic}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=0.01)
            for name, network in self.networks.items()
        }
        self.signal_at, self.updates = signal_at, 0
        #: At each update, whether the discriminator moved in its turn and not in the generator's.
        self.turns: list[tuple[bool, bool]] = []

    @property
    def batches_per_epoch(self) -> int:
        return 6

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Tensor]:
        for number in range(first, 6):
            generator = torch.Generator().manual_seed(100 * epoch + number)
            yield torch.randn(8, 3, generator=generator)[part.rank :: part.world] + 2

    def update(self, batch: Tensor, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        if self.updates == self.signal_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.updates += 1
        generator, critic = networks["generator"], networks["discriminator"]
        made = generator(torch.randn(len(batch), 2))
        before = [parameter.clone() for parameter in critic.parameters()]
        loss = functional.softplus(-critic(batch)) + functional.softplus(critic(made.detach()))
        yield Objective(loss.mean(), "discriminator")
        after = [parameter.clone() for parameter in critic.parameters()]
        moved = all(not a.equal(b) for a, b in zip(before, after, strict=True))
        critic.requires_grad_(False)
        yield Objective(functional.softplus(-critic(made)).mean(), "generator")
        critic.requires_grad_(True)
        clean = all(parameter.grad is None for parameter in critic.parameters()) and all(
            a.equal(b) for a, b in zip(after, critic.parameters(), strict=True)
        )
        self.turns.append((moved, clean))

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        del part  # a small batch is made whole in every process
        made = networks["generator"](torch.linspace(-1, 1, 16).reshape(8, 2))
        return {"loss": float((made.mean(0) - 2).abs().mean()), "spread": float(made.std())}

    def state(self) -> Mapping[str, Any]:
        return {"updates": self.updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.updates = state["updates"]


class QLearner(Recipe):
    """A walk on five places to the right end (Mnih et al., 2015): replay memory and a target."""

    monitor: ClassVar[str] = "right"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, signal_at: int | None = None) -> None:
        torch.manual_seed(7)
        self.networks = {"online": nn.Linear(5, 2), "target": nn.Linear(5, 2)}
        self.networks["target"].load_state_dict(self.networks["online"].state_dict())
        self.networks["target"].requires_grad_(False)
        self.optimizers = {"main": torch.optim.Adam(self.networks["online"].parameters(), lr=0.05)}
        self.memory: list[list[int]] = []
        self.signal_at, self.updates, self.learnt = signal_at, 0, 0

    @property
    def batches_per_epoch(self) -> int:
        return 20

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Tensor]:
        del part
        for number in range(first, 20):
            yield torch.tensor([(epoch * 20 + number) % 4])  # where to begin

    def update(self, batch: Tensor, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        if self.updates == self.signal_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.updates += 1
        place = int(batch)
        for action in torch.randint(0, 2, (3,)).tolist():
            reached = min(4, max(0, place + (1 if action else -1)))
            self.memory.append([place, action, reached, int(reached == 4)])
            place = reached
        if len(self.memory) < 15:
            return
        drawn = torch.tensor(self.memory)[torch.randint(0, len(self.memory), (16,))]
        at, action, then, reward = drawn.T
        with torch.no_grad():
            future = networks["target"](functional.one_hot(then, 5).float()).amax(1)
        wanted = reward + 0.9 * future * (1 - reward)
        values = networks["online"](functional.one_hot(at, 5).float())
        taken = values.gather(1, action[:, None])[:, 0]
        yield Objective(functional.mse_loss(taken, wanted))
        self.learnt += 1
        if self.learnt % 5 == 0:
            networks["target"].load_state_dict(networks["online"].state_dict())

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        del part
        values = networks["online"](torch.eye(5)[:4])
        return {"right": float((values.argmax(1) == 1).float().mean())}

    def state(self) -> Mapping[str, Any]:
        memory = torch.tensor(self.memory)
        return {"memory": memory, "updates": self.updates, "learnt": self.learnt}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.memory = state["memory"].tolist()
        self.updates, self.learnt = state["updates"], state["learnt"]


RECIPES: Mapping[str, type[Any]] = {"Regress": Regress, "Gan": Gan, "QLearner": QLearner}


def train(
    folder: Path,
    *,
    recipe: str = "Regress",
    options: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    devices: int = 1,
    resume: bool = False,
    half_save: int | None = None,
) -> tuple[Any, Outcome]:
    """Build a recipe and fit it; die halfway through the ``half_save``th file if there is one."""
    if half_save is not None:
        _die_in_save(half_save)
    built = RECIPES[recipe](**(options or {}))
    fabric = launch(Devices(accelerator="cpu", devices=devices))
    run = Run(folder, writes=fabric.is_global_zero)
    return built, fit(built, Training(**(training or {})), run, fabric, resume=resume)


def _die_in_save(count: int) -> None:
    real, left = torch.save, iter(range(count - 1))

    def save(state: Any, path: Path) -> None:
        if next(left, None) is not None:
            real(state, path)
            return
        buffer = io.BytesIO()
        real(state, buffer)
        path.write_bytes(buffer.getvalue()[: buffer.tell() // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save  # type: ignore[assignment]


def _rank() -> int:
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def end(folder: Path, rank: int = 0) -> Any:
    """What a process left after training: its networks' states, its best figure."""
    return torch.load(folder / f"end.{rank}.pt", weights_only=True)


def _train_and_tell(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Train; leave ``end.<rank>.pt`` or, if it fails, ``error.<rank>.txt`` beside the run."""
    torch.set_num_threads(1)
    try:
        built, outcome = train(folder, **arguments)
    except Exception as error:
        (folder / f"error.{_rank()}.txt").write_text(f"{type(error).__name__}: {error}")
        raise
    states = {name: network.state_dict() for name, network in built.networks.items()}
    turns = getattr(built, "turns", [])
    torch.save(
        {"networks": states, "best": outcome.best, "turns": turns}, folder / f"end.{_rank()}.pt"
    )


def _child(folder: Path, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    _train_and_tell(folder, arguments)


def warm_up() -> None:
    """Begin to import what ``in_processes`` forks from, which takes seconds."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    forkserver.ensure_running()


def in_processes(folder: Path, world: int = 1, **arguments: Any) -> list[int | None]:
    """Train in fresh processes, as ``torchrun`` would; they are forked from one that is warm.

    Returns:
        Their exit statuses; None for one that had to be ended because it hung.
    """
    folder.mkdir(exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    processes: list[BaseProcess] = []
    port = _free_port()
    for rank in range(world):
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_RUN_ID": "test",
        }
        processes.append(context.Process(target=_child, args=(folder, arguments, environment)))
    for process in processes:
        process.start()
    statuses = []
    for process in processes:
        process.join(90)
        statuses.append(process.exitcode)
        process.kill()
        process.join()
    return statuses


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


if __name__ == "__main__":
    _train_and_tell(Path(sys.argv[1]), json.loads(sys.argv[2]))


def history(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's history, without the speed, which no two runs share."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("batches_per_second", None)
    return lines
