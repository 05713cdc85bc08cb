"""The training loop: one for every task.

Devices, processes, mixed precision and the wrapping of networks are Lightning Fabric's; losses,
batches and figures are the recipe's. What is left is here and in the modules it uses: epochs and
steps, the learning rate, the moving average, checkpoints, resuming, and when to stop.

The randomness of a step (augmentation, dropout) depends on the seed, the step and the process
alone, so a run that is resumed takes the same way as one that was never interrupted. This goes for
PyTorch's generators; a recipe that uses others keeps them in its ``state``.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from lightning_fabric import Fabric

from training import checkpoint
from training.averages import Averages
from training.best import Best, Outcome, load_best
from training.errors import StoppedError, TrainingError
from training.interruption import Interruption
from training.meter import Meter
from training.progress import Progress
from training.recipe import Part, Recipe
from training.run import Run, RunError
from training.schedule import Rates, schedule
from training.settings import Training
from training.stepper import Stepper, seed_of
from training.wrapped import Wrapped, share_buffers

__all__ = ["Outcome", "StoppedError", "Training", "TrainingError", "fit", "load_best"]


def fit(
    recipe: Recipe,
    training: Training,
    run: Run,
    fabric: Fabric,
    *,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Outcome:
    """Train a recipe's networks; afterwards they hold the best epoch's weights.

    If the monitored figure never was a number they hold the last epoch's.

    Args:
        recipe: what to train; built in every process with the same first weights.
        training: how.
        run: the folder to write.
        fabric: launched already.
        settings: all that must be the same for the run to be resumed; ``training`` if left out.
            The number of processes need not be.
        resume: whether to go on from the folder's last checkpoint if there is one.

    Raises:
        TrainingError: a loss is not finite, there is nothing to train on, a checkpoint cannot be
            written, or the recipe does not keep its word.
        StoppedError: Ctrl-C or SIGTERM; a checkpoint has been written.
        RunError: the folder cannot take the run.
    """
    if recipe.batches_per_epoch < training.accumulate:
        raise TrainingError(
            f"an epoch has {recipe.batches_per_epoch} batches, fewer than one step takes "
            f"({training.accumulate}): give more pictures or a smaller batch size"
        )
    is_begun = _begin(run, settings or asdict(training), fabric, resume=resume)
    with run, Interruption() as interruption:
        loop = _Loop(recipe, training, run, fabric, interruption)
        if is_begun:
            loop.load()
        return loop.run_all()


class _Loop:
    def __init__(
        self,
        recipe: Recipe,
        training: Training,
        run: Run,
        fabric: Fabric,
        interruption: Interruption,
    ) -> None:
        self._recipe, self._training, self._run, self._fabric = recipe, training, run, fabric
        self._interruption = interruption
        self._part = Part(fabric.global_rank, fabric.world_size)
        self._wrapped = Wrapped(recipe.networks, fabric)
        self._averages = Averages(self._wrapped.plain, training.ema)
        self._meter = Meter(fabric)
        self._stepper = Stepper(recipe, training, self._wrapped, self._meter, fabric)
        self._best = Best(recipe, run, fabric)
        self._steps_per_epoch = recipe.batches_per_epoch // training.accumulate
        self._steps = training.epochs * self._steps_per_epoch
        factor = schedule(
            training.schedule,
            self._steps,
            warmup=round(training.warmup_epochs * self._steps_per_epoch),
            final=training.final_lr,
            milestones=training.milestones,
            gamma=training.gamma,
        )
        self._rates = Rates(recipe.optimizers, factor)
        self._step = 0
        self._seconds = 0.0
        self._since = time.perf_counter()

    def run_all(self) -> Outcome:
        """Train to the last epoch."""
        first, epochs = self._step // self._steps_per_epoch, self._training.epochs
        is_shown = self._fabric.is_global_zero
        with Progress(self._run.folder.name, self._steps, shown=is_shown) as progress:
            for epoch in range(first, epochs):
                self._train_epoch(epoch, progress)
                progress.epoch(epoch + 1, epochs, self._measure(epoch))
                self._run.draw()
                self._save()
                if epoch + 1 < epochs and self._is_asked_to_stop():
                    self._stop()
        return self._best.outcome(self._elapsed())

    def _train_epoch(self, epoch: int, progress: Progress) -> None:
        training, rank = self._training, self._part.rank
        done = self._step % self._steps_per_epoch
        torch.manual_seed(seed_of(training.seed, "epoch", epoch, rank))
        self._recipe.begin_epoch(epoch)
        self._wrapped.train()
        batches = iter(self._recipe.batches(epoch, done * training.accumulate, self._part))
        self._meter.start()
        for number in range(done + 1, self._steps_per_epoch + 1):
            self._rates.set(self._step)
            self._stepper.take(self._step, batches)
            self._step += 1
            self._averages.update()
            progress.step(self._step)
            is_last = number == self._steps_per_epoch
            is_logged = is_last or self._step % training.log_steps == 0
            if is_logged:
                figures = self._meter.flush(self._step) | self._rates.figures()
                self._run.record(self._step, epoch + 1, "train", figures)
                progress.figures(figures)
            if is_last:  # its checkpoint follows the measurements, which would be missed otherwise
                break
            if self._step % training.checkpoint_steps == 0:
                self._save()
            # Several processes must agree to stop, which is not worth their time at every step.
            if (self._part.world == 1 or is_logged) and self._is_asked_to_stop():
                self._save()
                self._stop()

    def _measure(self, epoch: int) -> Mapping[str, float]:
        measured = self._averages.measured()
        share_buffers(measured, self._fabric)
        for network in measured.values():
            network.eval()
        with torch.inference_mode():
            mine = dict(self._recipe.evaluate(measured, self._part))
        # One process's word counts: rounding must not let them disagree on which epoch is best.
        figures: Mapping[str, float] = self._fabric.broadcast(mine)
        self._run.record(self._step, epoch + 1, "held_out", figures)
        self._best.offer(epoch + 1, figures, measured)
        return figures

    def _is_asked_to_stop(self) -> bool:
        """Whether one of the processes was asked to stop; they call this together."""
        if self._part.world == 1:
            return self._interruption.asked
        asked = torch.tensor(float(self._interruption.asked), device=self._fabric.device)
        return bool(self._fabric.all_reduce(asked, reduce_op="sum"))

    def _stop(self) -> None:
        raise StoppedError(
            f"stopped at step {self._step} of {self._steps}, kept in {self._run.last}; "
            "go on with --resume"
        )

    def _save(self) -> None:
        self._meter.settle(self._step)
        networks, optimizers = self._wrapped.plain, self._recipe.optimizers
        state = {
            "step": self._step,
            "seconds": self._elapsed(),
            "networks": {name: network.state_dict() for name, network in networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
            "averages": self._averages.state_dict(),
            "best": self._best.state_dict(),
            "meter": self._meter.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
            "recipe": dict(self._recipe.state()),
        }
        checkpoint.write(self._run.last, state, self._fabric)

    def load(self) -> None:
        """Go back to the last checkpoint."""
        state = checkpoint.read(self._run.last, self._fabric)
        self._step, self._seconds = state["step"], state["seconds"]
        for name, network in self._wrapped.plain.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in self._recipe.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self._averages.load_state_dict(state["averages"])
        self._best.load_state_dict(state["best"])
        self._meter.load_state_dict(state["meter"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        self._recipe.restore(state["recipe"])
        self._run.rewind(self._step)

    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._since


def _begin(run: Run, settings: Mapping[str, Any], fabric: Fabric, *, resume: bool) -> bool:
    """Ready the folder; returns whether there is a checkpoint to go on from.

    The first process looks: others may not see its disk, or see it when it has written already.
    """
    is_begun, problem = False, None
    if fabric.is_global_zero:
        is_begun = run.is_begun
        try:
            run.begin(settings, resume=resume)
        except (RunError, OSError) as error:
            problem = error
    is_begun, problem = fabric.broadcast((is_begun, problem))
    if problem is not None:
        raise problem
    return is_begun
