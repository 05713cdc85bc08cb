"""What one batch does to a segmentation network, and what is measured of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.data.mask_augment import MaskAugment, MaskAugmentation
from training.data.mask_folders import read_masks
from training.data.mask_pictures import Batch, MaskPictures
from training.data.masked import VOID
from training.nets.pixels import Pixels
from training.nets.segmentation.architectures import build, find
from training.nets.segmentation.segmenter import Segmenter
from training.optimisation import Optimisation
from training.recipe import Objective, Part
from training.tasks.segment.metrics import measure
from training.tasks.segment.predict import confusions
from training.tasks.segment.recipe import SegmentRecipe

SIZE, PAD = 64, 127
LIGHT = find("fcn8s-efficientnet_lite0")


def make(
    masks: Path,
    net: nn.Module | None = None,
    batch_size: int = 4,
    layer_decay: float = 1.0,
    augmentation: MaskAugmentation | None = None,
    **options: Any,
) -> SegmentRecipe:
    parts = read_masks(masks)
    torch.manual_seed(0)
    augment = MaskAugment(augmentation or MaskAugmentation(), SIZE, SIZE, PAD)
    return SegmentRecipe(
        net or build(LIGHT.name, 3),
        LIGHT,
        MaskPictures(parts["train"], SIZE, SIZE, PAD, augment, seed=1),
        MaskPictures(parts["val"], SIZE, SIZE, PAD),
        Optimisation(lr=1e-3, batch_size=batch_size, layer_decay=layer_decay),
        **options,
    )


def batch_of(recipe: SegmentRecipe, epoch: int = 0) -> Batch:
    batch: Batch = next(iter(recipe.batches(epoch, 0, Part())))
    return batch


def objective_of(recipe: SegmentRecipe, net: nn.Module, batch: Batch) -> Objective:
    [objective] = recipe.update(batch, {"net": net})
    return objective


def backward(objective: Objective) -> None:
    objective.loss.backward()  # type: ignore[no-untyped-call]


def test_steps_lower_the_loss(masks: Path) -> None:
    recipe = make(masks)
    batch, net, optimizer = batch_of(recipe), recipe.networks["net"], recipe.optimizers["main"]
    losses = []
    for _ in range(8):
        torch.manual_seed(0)
        net.train()
        objective = objective_of(recipe, net, batch)
        parts = objective.logged
        assert parts.keys() == {"pixels", "auxiliary"}
        told = float(parts["pixels"]) + 0.4 * float(parts["auxiliary"])
        assert float(objective.loss.detach()) == pytest.approx(told)
        optimizer.zero_grad()
        backward(objective)
        optimizer.step()
        losses.append(float(objective.loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


class Given(nn.Module):
    """Scores that are its parameters, whatever the pictures; notes what it is given."""

    def __init__(self, *scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.ParameterList(scores)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The finest alone, or all."""
        self.images = images
        return tuple(self.scores) if len(self.scores) > 1 else self.scores[0]


def scores_and_batch() -> tuple[Tensor, Tensor, Batch]:
    """Of two pictures of 4x6 pixels at full and at half size; a part of the masks is void."""
    random = torch.Generator().manual_seed(3)
    masks = torch.randint(3, (2, 4, 6), generator=random, dtype=torch.uint8)
    masks[0, :3, 1:5] = VOID
    scores = torch.randn(2, 3, 4, 6, generator=random)
    coarse = torch.randn(2, 3, 2, 3, generator=random)
    images = torch.randint(256, (2, 3, 4, 6), generator=random, dtype=torch.uint8)
    return scores, coarse, Batch(images, masks)


def by_hand(scores: Tensor, masks: Tensor, weights: tuple[float, ...]) -> float:
    """The sum of -log(softmax) of each pixel's class times its weight, by all pixels."""
    total = 0.0
    for picture, row, column in np.ndindex(masks.shape):
        label = int(masks[picture, row, column])
        if label != VOID:
            exps = np.exp(scores[picture, :, row, column].numpy().astype(np.float64))
            total -= weights[label] * np.log(exps[label] / exps.sum())
    return total / masks.numel()


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 1.0, 3.0)])
def test_the_loss_by_hand(masks: Path, weights: tuple[float, ...]) -> None:
    scores, coarse, batch = scores_and_batch()
    chosen = None if weights == (1, 1, 1) else torch.tensor(weights, dtype=torch.float64)
    expected = by_hand(scores, batch.masks, weights)
    net = Given(scores)
    recipe = make(masks, net, class_weights=chosen, auxiliary=0.25)
    objective = objective_of(recipe, net, batch)
    assert float(objective.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert objective.logged.keys() == {"pixels"}

    helping = by_hand(coarse, batch.masks[:, 1::2, 1::2], weights)
    objective = objective_of(recipe, Given(scores, coarse, coarse), batch)
    assert float(objective.logged["auxiliary"]) == pytest.approx(helping, rel=1e-5)
    assert float(objective.loss.detach()) == pytest.approx(expected + 0.25 * helping, rel=1e-5)


def test_no_auxiliary_loss_where_none_is_asked_for(masks: Path) -> None:
    scores, coarse, batch = scores_and_batch()
    net = Given(scores, coarse)
    objective = objective_of(make(masks, net, auxiliary=0), net, batch)
    assert float(objective.loss.detach()) == float(objective.logged["pixels"])
    backward(objective)
    grad = net.scores[1].grad
    assert grad is not None  # or several processes wait for it in vain
    assert not grad.any()


def test_void_pixels_teach_nothing(masks: Path) -> None:
    scores, coarse, batch = scores_and_batch()
    net = Given(scores, coarse)
    backward(objective_of(make(masks, net), net, batch))
    grad = net.scores[0].grad
    assert grad is not None
    is_void = (batch.masks == VOID)[:, None].expand_as(grad)
    assert not grad[is_void].any()
    assert (grad[~is_void] != 0).all()


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 3.0])])
def test_a_batch_that_is_all_void_is_harmless(masks: Path, weights: Tensor | None) -> None:
    recipe = make(masks, class_weights=weights)
    images, _ = batch_of(recipe)
    net = recipe.networks["net"].train()
    void = torch.full((4, SIZE, SIZE), VOID, dtype=torch.uint8)
    objective = objective_of(recipe, net, Batch(images, void))
    assert float(objective.loss.detach()) == 0
    backward(objective)
    grads = [parameter.grad for parameter in net.parameters()]
    assert grads
    assert not any(grad.any() for grad in grads if grad is not None)


class Plain(nn.Module):
    """A convolution, scored as it is and pooled: without statistics, so a batch can be halved."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of full and of a quarter of the size."""
        scores = self.scores(images)
        return scores, nn.functional.avg_pool2d(scores, 4)


def test_two_processes_gradients_average_to_the_whole_batchs(masks: Path) -> None:
    torch.manual_seed(0)
    net = Plain()
    # Crops that are larger than the pictures leave much void, and not as much in each.
    wide = MaskAugmentation(scale_min=0.3, scale_max=1.5)
    weights = torch.tensor([0.5, 1.0, 3.0])
    recipe = make(masks, net, augmentation=wide, class_weights=weights)
    grads, voids = [], []
    for part in (Part(), Part(0, 2), Part(1, 2)):
        net.zero_grad()
        [batch, *_] = recipe.batches(0, 0, part)
        backward(objective_of(recipe, net, batch))
        grads.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
        voids.append(int((batch.masks == VOID).sum()))
    assert voids[0] == voids[1] + voids[2]
    assert voids[1] != voids[2]
    for whole, first, second in zip(*grads, strict=True):
        assert whole.any()
        assert not torch.allclose(first, second)
        torch.testing.assert_close((first + second) / 2, whole)


def test_a_network_is_given_normalised_pictures(masks: Path) -> None:
    scores, _, batch = scores_and_batch()
    net = Given(scores)
    objective_of(make(masks, net), net, batch)
    expected = Pixels(LIGHT.mean, LIGHT.std)(batch.images.permute(0, 2, 3, 1))
    torch.testing.assert_close(net.images, expected)
    assert net.images.abs().max() <= 1
    assert net.images.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_is_made_of_full_batches_and_resumes_where_it_was(masks: Path) -> None:
    recipe = make(masks, batch_size=3)
    assert recipe.batches_per_epoch == 2
    whole = list(recipe.batches(3, 0, Part()))
    [second] = recipe.batches(3, 1, Part())
    assert [tuple(each.masks.shape) for each in whole] == [(3, SIZE, SIZE)] * 2
    assert all(one.equal(other) for one, other in zip(whole[1], second, strict=True))
    assert not batch_of(recipe, 4).images.equal(whole[0].images)
    assert make(masks, batch_size=64).batches_per_epoch == 1


def test_pictures_are_drawn_as_likely_as_they_weigh(masks: Path) -> None:
    still = MaskAugmentation(
        scale_min=1, scale_max=1, flip=False, brightness=0, contrast=0, saturation=0
    )
    only = torch.zeros(8, dtype=torch.float64)
    only[5] = 2.0
    drawn = [
        image
        for batch in make(masks, augmentation=still, picture_weights=only).batches(0, 0, Part())
        for image in batch.images
    ]
    assert len(drawn) == 8
    once = {image.numpy().tobytes() for image in drawn}
    every = make(masks, augmentation=still, batch_size=8)
    assert {image.numpy().tobytes() for image in batch_of(every).images} > once
    assert len(once) == 1


def test_stages_learn_at_rates_of_their_own(masks: Path) -> None:
    recipe = make(masks, layer_decay=0.5)
    rates = sorted({group["lr"] for group in recipe.optimizers["main"].param_groups})
    depth = len(LIGHT.stages)
    assert rates == pytest.approx([1e-3 * 0.5**below for below in reversed(range(depth))])


def bright(net: nn.Module) -> nn.Module:
    """A network whose scores differ between places; as built they are all 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight)
    return net.eval()


def test_figures_are_those_of_the_network_as_it_is_served(
    masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make(masks, net=bright(build(LIGHT.name, 3)))
    module = Segmenter(recipe.networks["net"], Pixels(LIGHT.mean, LIGHT.std)).eval()
    held_out = MaskPictures(read_masks(masks)["val"], SIZE, SIZE, PAD)
    quality = measure(confusions(module, held_out), held_out.masked.classes, resamples=0)
    assert len(np.flatnonzero(quality.confusion.sum(0))) > 1
    found = recipe.evaluate(recipe.networks, Part())
    assert found == {"miou": quality.miou, "pixel_accuracy": quality.pixel_accuracy}
    assert recipe.monitor == "miou"
    assert recipe.higher_is_better

    other = confusions(module, held_out, Part(1, 2))

    def gather(parts: list[Any], mine: Any) -> None:
        parts[:] = mine, other

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert recipe.evaluate(recipe.networks, Part(0, 2)) == pytest.approx(found, abs=1e-3)
