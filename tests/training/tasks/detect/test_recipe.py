"""What one batch does to a detector, and what is measured of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from training.data.box_augment import BoxAugment, BoxAugmentation
from training.data.box_folders import read_boxes
from training.data.box_pictures import BoxPictures
from training.data.boxed import BoxedSet
from training.nets.detection.architectures import build, find
from training.nets.detection.batched import BatchedDetector
from training.nets.detection.detector import Detector
from training.nets.pixels import Pixels
from training.optimisation import Optimisation
from training.recipe import Part
from training.tasks.detect import recipe as recipes
from training.tasks.detect.metrics import Detections, map50
from training.tasks.detect.predict import predict
from training.tasks.detect.recipe import DetectRecipe

SIZE, PAD = 64, 127
LIGHT = find("efficientnet_lite0-fpn")


def make(boxes: Path, batch_size: int = 4, layer_decay: float = 1.0) -> DetectRecipe:
    parts = read_boxes(boxes)
    torch.manual_seed(0)
    augment = BoxAugment(BoxAugmentation(crop=0.2), SIZE, PAD)
    return DetectRecipe(
        build(LIGHT.name, 2),
        LIGHT,
        BoxPictures(parts["train"], SIZE, PAD, augment, seed=1),
        BoxPictures(parts["val"], SIZE, PAD),
        Optimisation(lr=1e-3, batch_size=batch_size, layer_decay=layer_decay),
    )


def batch_of(recipe: DetectRecipe, epoch: int = 0) -> Any:
    return next(iter(recipe.batches(epoch, 0, Part())))


def test_steps_lower_the_loss(boxes: Path) -> None:
    recipe = make(boxes)
    batch = batch_of(recipe)
    optimizer = recipe.optimizers["main"]
    losses = []
    for _ in range(6):
        torch.manual_seed(0)
        recipe.networks["net"].train()
        [objective] = recipe.update(batch, recipe.networks)
        parts = objective.logged
        assert parts.keys() == {"objectness", "proposals", "classes", "boxes"}
        assert float(sum(parts.values())) == pytest.approx(float(objective.loss.detach()))
        optimizer.zero_grad()
        objective.loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(objective.loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


class Spy(nn.Module):
    """Notes what a detector is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(
        self, images: torch.Tensor, targets: Sequence[Mapping[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """One loss."""
        self.images, self.targets = images, targets
        return {"classes": self.weight}


def test_a_network_is_given_normalised_pictures_and_the_background_is_class_0(
    boxes: Path,
) -> None:
    recipe, spy = make(boxes), Spy()
    images, targets = batch_of(recipe)
    targets[0]["ignored"][0] = True
    list(recipe.update((images, targets), {"net": spy}))
    torch.testing.assert_close(spy.images, (images.float() - LIGHT.mean) / LIGHT.std)
    assert spy.images.is_contiguous(memory_format=torch.channels_last)
    first, second = spy.targets[:2]
    assert first["ignored"].equal(targets[0]["boxes"][:1])
    assert first["boxes"].equal(targets[0]["boxes"][1:])
    assert first["labels"].equal(targets[0]["labels"][1:] + 1)
    assert second["labels"].equal(targets[1]["labels"] + 1)
    assert second["ignored"].shape == (0, 4)


def test_an_epoch_is_made_of_full_batches_and_resumes_where_it_was(boxes: Path) -> None:
    recipe = make(boxes, batch_size=3)
    assert recipe.batches_per_epoch == 2
    whole = list(recipe.batches(3, 0, Part()))
    [second] = recipe.batches(3, 1, Part())
    assert [len(images) for images, _ in whole] == [3, 3]
    assert whole[1][0].equal(second[0])
    assert all(a["boxes"].equal(b["boxes"]) for a, b in zip(whole[1][1], second[1], strict=True))
    assert not batch_of(recipe, 4)[0].equal(whole[0][0])
    assert make(boxes, batch_size=64).batches_per_epoch == 1


def test_stages_learn_at_rates_of_their_own(boxes: Path) -> None:
    recipe = make(boxes, layer_decay=0.5)
    rates = sorted({group["lr"] for group in recipe.optimizers["main"].param_groups})
    depth = len(LIGHT.stages)
    assert rates == pytest.approx([1e-3 * 0.5**below for below in reversed(range(depth))])


def net_of(recipe: DetectRecipe) -> Detector:
    net = recipe.networks["net"]
    assert isinstance(net, Detector)
    return net.eval()


def test_the_figure_is_the_precision_of_the_detector_as_it_is_served(boxes: Path) -> None:
    recipe = make(boxes)
    net = net_of(recipe)
    # Not trained it would find nothing: now each proposal is a disc, more or less.
    nn.init.constant_(net.roi_heads.box_predictor.cls_score.bias[1:2].detach(), 1.0)
    module = BatchedDetector(net, Pixels(LIGHT.mean, LIGHT.std), SIZE, SIZE).eval()
    held_out = read_boxes(boxes)["val"]
    found = predict(module, BoxPictures(held_out, SIZE, PAD), 0.5)
    assert all(len(one.scores) for one in found)
    [[name, value]] = recipe.evaluate(recipe.networks, Part()).items()
    assert name == recipe.monitor == "map50"
    assert recipe.higher_is_better
    assert value == map50(found, held_out)


def test_processes_put_together_what_they_found(
    boxes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make(boxes)
    module = BatchedDetector(net_of(recipe), Pixels(LIGHT.mean, LIGHT.std), SIZE, SIZE).eval()
    other = predict(module, BoxPictures(read_boxes(boxes)["val"], SIZE, PAD), 0.5, Part(1, 2))

    def gather(parts: list[Any], mine: Any) -> None:
        parts[:] = mine, other

    seen: list[list[Detections]] = []

    def measure(found: list[Detections], _: BoxedSet) -> float:
        seen.append(found)
        return 0.5

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    monkeypatch.setattr(recipes, "map50", measure)
    for part in (Part(), Part(0, 2)):
        assert recipe.evaluate(recipe.networks, part) == {"map50": 0.5}
    alone, together = seen
    assert len(alone) == len(together) == 4
    for one, same in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.boxes, same.boxes, atol=1e-3)
        np.testing.assert_allclose(one.scores, same.scores, atol=1e-5)
    assert not np.array_equal(alone[0].boxes, alone[1].boxes)
