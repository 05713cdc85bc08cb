"""One training of an ablation: a variation, a seed, a folder."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from training.data.labelled import Labelled
from training.errors import DivergedError
from training.loop import fit
from training.published import Published
from training.recipe import Part
from training.run import Run, RunError, write_whole
from training.tasks.classify.ablation.pictures import Pictures
from training.tasks.classify.ablation.scores import Point, Score
from training.tasks.classify.ablation.variations import Setup
from training.tasks.classify.config import Classify
from training.tasks.classify.metrics import top_k_accuracy
from training.tasks.classify.recipe import ClassifyRecipe, predict
from training.tasks.classify.train import start

_SCORE = "score.json"


class TrialRecipe(ClassifyRecipe):
    """A classifier's recipe that measures the training error too.

    On pictures as they are and without dropout, so that it can be compared between variations that
    differ in how much they disturb training.
    """

    def __init__(
        self, net: nn.Module, published: Published, pictures: Pictures, setup: Setup, seed: int
    ) -> None:
        super().__init__(
            net,
            published,
            pictures.train,
            pictures.held_out,
            setup.optimisation,
            setup.augmentation,
            size=pictures.train.shape[0],
            seed=seed,
        )
        self._published, self._probe = published, pictures.probe

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """Top-1 accuracy and cross-entropy on the held-out pictures, and the training top-1."""
        train_top1 = _top1(networks["net"], self._published, self._probe)
        return {**super().evaluate(networks, part), "train_top1": train_top1}


def run_trial(
    setup: Setup, pictures: Pictures, seed: int, folder: Path, fabric: Fabric, *, resume: bool
) -> Score:
    """Train and measure, unless that is done already.

    Args:
        setup: what to train.
        pictures: to train and measure on.
        seed: of the first weights and of training.
        folder: of the run; the outcome is kept in its ``score.json``.
        fabric: launched already.
        resume: whether to go on where an earlier attempt was interrupted.

    Raises:
        StoppedError: training was asked to stop; it can go on from a checkpoint.
        TrainingError: training cannot go on, for another reason than a loss that is no number.
        RunError: the folder holds a run and ``resume`` is false, or one with other settings.
    """
    settings = {
        "dataset": pictures.dataset,
        "pictures": len(pictures.train),
        "held_out": len(pictures.held_out),
        "precision": str(fabric.strategy.precision.precision),
        **setup.settings(),
        "training": asdict(replace(setup.training, seed=seed)),
    }
    settings = json.loads(json.dumps(settings))  # as it is read back
    path = folder / _SCORE
    if (score := _earlier(path, settings, fabric, resume=resume)) is not None:
        return score
    score = _train(
        setup,
        pictures,
        seed,
        Run(folder, writes=fabric.is_global_zero),
        fabric,
        settings,
        resume=resume,
    )
    if fabric.is_global_zero:
        write_whole(path, json.dumps({"settings": settings, "score": asdict(score)}) + "\n")
    return score


def _train(
    setup: Setup,
    pictures: Pictures,
    seed: int,
    run: Run,
    fabric: Fabric,
    settings: Mapping[str, Any],
    *,
    resume: bool,
) -> Score:
    published = start(Classify(architecture=setup.architecture))
    torch.manual_seed(seed)
    net = setup.build(pictures.train)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    recipe = TrialRecipe(net, published, pictures, setup, seed)
    training = replace(setup.training, seed=seed)
    began = time.perf_counter()
    try:
        outcome = fit(recipe, training, run, fabric, settings=settings, resume=resume)
    except DivergedError as error:
        seconds = time.perf_counter() - began
        return Score(seed, parameters, seconds, _curve(run), diverged=str(error))
    return Score(
        seed,
        parameters,
        outcome.seconds,
        _curve(run),
        _error(outcome.figures["train_top1"]),
        _error(_top1(net.cpu(), published, pictures.test)),
    )


def _earlier(
    path: Path, settings: Mapping[str, Any], fabric: Fabric, *, resume: bool
) -> Score | None:
    """The score of a training that is done; the first process looks, as in ``fit``."""
    kept = json.loads(path.read_text()) if fabric.is_global_zero and path.exists() else None
    kept = fabric.broadcast(kept)
    if kept is None:
        return None
    if not resume:
        raise RunError(
            f"{path.parent} holds a finished training already: keep it with --resume, name another "
            "folder with --run, or remove it"
        )
    if kept["settings"] != settings:
        raise RunError(
            f"{path.parent} was trained with other settings ({path.name} has them): name another "
            "folder with --run, or remove it"
        )
    return Score.read(kept["score"])


def _curve(run: Run) -> tuple[Point, ...]:
    return tuple(
        Point(line["epoch"], _error(line["train_top1"]), _error(line["top1"]))
        for line in run.history()
        if line["split"] == "held_out"
    )


def _top1(net: nn.Module, published: Published, labelled: Labelled) -> float:
    probabilities = predict(net, published, labelled)
    return top_k_accuracy(probabilities.float().numpy(), labelled.targets.numpy(), 1)


def _error(top1: float | None) -> float | None:
    """In percent; to a ten-thousandth, below which there is no picture."""
    return None if top1 is None else round(100 * (1 - top1), 4)
