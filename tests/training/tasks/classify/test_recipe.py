"""What one batch does to each kind of network, and what is measured of it."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.tasks.classify.tiny_sets import CLASSES, crop
from training.data.augment import Augmentation
from training.data.labelled import Labelled
from training.nets.architectures import SCRATCH_MEAN, SCRATCH_STD, build, find
from training.nets.stages import freeze, unfreeze
from training.published import Published
from training.recipe import Part
from training.tasks.classify.config import Classify, Optimisation
from training.tasks.classify.recipe import AUXILIARY_WEIGHT, ClassifyRecipe, Normalise, predict
from training.tasks.classify.train import start

NETWORKS = {
    "convnet": 28,
    "resnet20": 32,
    "resnet18": 32,
    "vgg16_bn": 32,
    "googlenet": 32,
    "mobilenet_v2": 32,
    "efficientnet_lite0": 64,
}
PLAIN = Augmentation()


def crops(side: int, count: int = 6, channels: int = 3) -> Labelled:
    random = np.random.default_rng(0)
    labels = tuple(CLASSES)
    targets = [index % 3 for index in range(count)]
    images = np.stack([np.asarray(crop(labels[target], random, side)) for target in targets])
    return Labelled(torch.from_numpy(images[..., :channels].copy()), torch.tensor(targets), labels)


def make(
    name: str,
    optimisation: Optimisation,
    augmentation: Augmentation = PLAIN,
    *,
    channels: int = 3,
    count: int = 6,
    dropout: float | None = None,
) -> ClassifyRecipe:
    size = NETWORKS[name]
    torch.manual_seed(0)
    net = build(
        name,
        3,
        channels=channels,
        small_images=find(name).small,
        size=size,
        dropout=dropout,
    )
    pictures = crops(size, count, channels)
    published = start(Classify(architecture=name))
    return ClassifyRecipe(net, published, pictures, pictures, optimisation, augmentation, size=size)


def batch_of(recipe: ClassifyRecipe, epoch: int = 0) -> Any:
    return next(iter(recipe.batches(epoch, 0, Part())))


def step(recipe: ClassifyRecipe, batch: Any) -> float:
    for network in recipe.networks.values():
        network.train()
    [objective] = recipe.update(batch, recipe.networks)
    recipe.optimizers[objective.optimizer].zero_grad()
    objective.loss.backward()  # type: ignore[no-untyped-call]
    recipe.optimizers[objective.optimizer].step()
    return float(objective.loss.detach())


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def changed(before: Mapping[str, Tensor], net: nn.Module) -> set[str]:
    return {name for name, tensor in net.state_dict().items() if not tensor.equal(before[name])}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_a_batch_with_all_its_weights(name: str) -> None:
    recipe = make(name, Optimisation(optimizer="sgd", lr=0.01, weight_decay=0.0))
    net = recipe.networks["net"]
    batch = batch_of(recipe)
    before = state(net)
    losses = [step(recipe, batch)]
    weights = {key for key, parameter in net.named_parameters() if parameter.ndim > 1}
    assert weights <= changed(before, net)
    losses += [step(recipe, batch) for _ in range(2)]
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]


def test_auxiliary_heads_count_for_less_than_the_main_one() -> None:
    recipe = make("googlenet", Optimisation(), dropout=0.0)
    images, targets = batch_of(recipe)
    net = recipe.networks["net"].train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    [objective] = recipe.update((images, targets), recipe.networks)
    pictures = images.permute(0, 3, 1, 2).float()
    outputs = net((pictures - SCRATCH_MEAN) / SCRATCH_STD)
    main, second, first = (nn.functional.cross_entropy(one, targets) for one in outputs)
    expected = main + AUXILIARY_WEIGHT * (first + second)
    torch.testing.assert_close(objective.loss, expected, rtol=1e-4, atol=1e-4)
    share = (outputs[0].argmax(1) == targets).float().mean()
    assert objective.logged["top1"] == share


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_a_frozen_network_changes_in_its_head_alone(name: str) -> None:
    torch.manual_seed(0)
    net = build(name, 3, small_images=True)
    freeze(net, find(name))
    pictures = crops(32)
    published = start(Classify(architecture=name))
    recipe = ClassifyRecipe(
        net, published, pictures, pictures, Optimisation(layer_decay=0.5), PLAIN, size=32
    )
    before = state(net)
    batch = batch_of(recipe)
    for _ in range(2):
        step(recipe, batch)
    head = {
        key for key in before if any(key.startswith(f"{prefix}.") for prefix in find(name).head)
    }
    assert changed(before, net) == head  # running statistics of the rest included
    unfreeze(net)
    recipe = ClassifyRecipe(net, published, pictures, pictures, Optimisation(), PLAIN, size=32)
    learnt = state(net)
    step(recipe, batch)
    body = {key for key, parameter in net.named_parameters() if key not in head}
    statistics = {key for key in before if key.endswith("running_mean") and key not in head}
    moved = changed(learnt, net)
    assert statistics <= moved
    assert len(body & moved) > 0.9 * len(body)


def test_each_optimizer_is_what_it_says() -> None:
    kinds = {}
    names: tuple[Literal["adamw", "adam", "sgd"], ...] = ("adamw", "adam", "sgd")
    for name in names:
        recipe = make("convnet", Optimisation(optimizer=name, lr=0.1, layer_decay=0.5))
        optimizer = recipe.optimizers["main"]
        kinds[name] = type(optimizer).__name__
        rates = sorted({group["lr"] for group in optimizer.param_groups})
        assert rates == pytest.approx([0.1 * 0.5**depth for depth in (4, 3, 2, 1, 0)])
        decays = {
            group["weight_decay"]
            for group in optimizer.param_groups
            if all(parameter.ndim <= 1 for parameter in group["params"])
        }
        assert decays == {0.0}
    assert kinds == {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}


def test_an_epoch_is_made_of_full_batches_and_resumes_where_it_was() -> None:
    recipe = make("convnet", Optimisation(batch_size=4), count=10)
    assert recipe.batches_per_epoch == 2
    whole = list(recipe.batches(3, 0, Part()))
    [second] = recipe.batches(3, 1, Part())
    assert [len(images) for images, _ in whole] == [4, 4]
    assert torch.equal(whole[1][0], second[0])
    other = list(recipe.batches(4, 0, Part()))
    assert not torch.equal(whole[0][0], other[0][0])
    halves = [list(recipe.batches(3, 0, Part(rank, 2))) for rank in (0, 1)]
    both = torch.cat([halves[0][0][1], halves[1][0][1]])
    assert sorted(both.tolist()) == sorted(whole[0][1].tolist())


def test_a_batch_larger_than_the_set_is_the_whole_set() -> None:
    recipe = make("convnet", Optimisation(batch_size=64), count=6)
    assert recipe.batches_per_epoch == 1
    assert len(batch_of(recipe)[0]) == 6


def test_mixed_pictures_and_smoothed_labels_give_a_finite_loss() -> None:
    recipe = make("convnet", Optimisation(label_smoothing=0.1), Augmentation(mixup=0.4, flip=True))
    assert np.isfinite(step(recipe, batch_of(recipe)))


def test_pictures_are_normalised_in_units_of_a_pixel() -> None:
    grey = torch.full((2, 1, 4, 4), 100 / 255)
    torch.testing.assert_close(Normalise(128.0, 64.0)(grey), torch.full_like(grey, -28 / 64))
    three = Normalise((10.0, 20.0, 30.0), (1.0, 2.0, 3.0))
    torch.testing.assert_close(three(grey), torch.full_like(grey, 40.0))
    colours = three(grey.expand(-1, 3, -1, -1))
    assert colours.is_contiguous(memory_format=torch.channels_last)
    expected = torch.tensor([90.0, 40.0, 70 / 3])
    torch.testing.assert_close(colours[0, :, 0, 0], expected)


def test_figures_are_those_of_the_predictions() -> None:
    recipe = make("convnet", Optimisation(), channels=1, count=9)
    net = recipe.networks["net"].eval()
    pictures = crops(28, 9, channels=1)
    published: Published = start(Classify(architecture="convnet"))
    probabilities = predict(net, published, pictures)
    assert probabilities.shape == (9, 3)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(9))
    with torch.inference_mode():
        figures = recipe.evaluate({"net": net}, Part())
    right = (probabilities.argmax(1) == pictures.targets).double().mean()
    assert figures["top1"] == pytest.approx(float(right))
    own = probabilities.gather(1, pictures.targets[:, None]).log().mean()
    assert figures["loss"] == pytest.approx(-float(own), rel=1e-4)
