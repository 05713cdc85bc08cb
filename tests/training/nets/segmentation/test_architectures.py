"""Every segmentation network: its parts, its stages, and the weights published for it."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from tests.training.nets.segmentation.random_segmenters import (
    DILATED,
    LIGHT,
    SEGNET,
    VGG,
    fresh,
    normalised,
    painted,
)
from training.nets.architecture import ArchitectureError, belongs
from training.nets.architectures import build as build_classifier
from training.nets.segmentation.architectures import (
    ARCHITECTURES,
    build,
    class_layers,
    find,
    freeze_first,
)
from training.nets.stages import FrozenBatchNorm2d

PUBLISHED = [name for name in ARCHITECTURES if ARCHITECTURES[name].published]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_has_what_its_record_says(name: str) -> None:
    architecture = find(name)
    assert architecture.name == name
    with torch.device("meta"):
        net = build(name, 5)
    parameters = dict(net.named_parameters())
    for key in parameters:
        assert sum(belongs(key, stage) for stage in architecture.stages) == 1, key
    for stage in architecture.stages:
        assert any(belongs(key, stage) for key in parameters), stage
    assert class_layers(architecture)
    assert all(belongs(key, architecture.stages[-1]) for key in class_layers(architecture))
    below = [key for key in parameters if not belongs(key, architecture.stages[-1])]
    assert all(key.startswith(architecture.body) for key in below)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if find(name).classifier])
def test_a_body_has_the_parameters_of_its_classifier(name: str) -> None:
    architecture = find(name)
    with torch.device("meta"):
        whole = build_classifier(architecture.classifier, 1000).state_dict()
        body = build(name, 5).get_submodule(architecture.body[:-1]).state_dict()
    prefix = "features." if name == SEGNET else ""
    of_lines = {key for key in body if belongs(key, ("conv6", "conv7"))}
    assert bool(of_lines) == (architecture.classifier == "vgg16")
    found = {key: tensor.shape for key, tensor in body.items() if key not in of_lines}
    assert found == {key: whole[prefix + key].shape for key in found}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_exist_and_are_of_as_many_classes(name: str) -> None:
    weights = torchvision.models.get_weight(f"{find(name).published}.COCO_WITH_VOC_LABELS_V1")
    with torch.device("meta"):
        net = build(name, len(weights.meta["categories"]))
    assert sum(p.numel() for p in net.parameters()) == weights.meta["num_params"]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("fcn32s-vgg16", {"scores.0.weight", "scores.0.bias"}),
        ("fcn16s-vgg16", {"scores.0.weight", "scores.1.bias", "upsamplings.0.weight"}),
        (LIGHT, {"scores.3.4.weight", "scores.0.4.bias", "upsamplings.2.weight"}),
        (SEGNET, {"score.weight", "score.bias"}),
        (DILATED, {"classifier.4.weight", "aux_classifier.4.bias"}),
    ],
)
def test_few_layers_hang_on_the_classes(name: str, layers: set[str]) -> None:
    found = class_layers(find(name))
    assert layers <= found
    assert not any(
        "running" in key or key.endswith((".0.0.weight", "conv6.weight")) for key in found
    )


@pytest.mark.parametrize("name", [LIGHT, "fcn8s-efficientnet_lite2", VGG, SEGNET, DILATED])
def test_pictures_of_odd_sizes_are_scored_pixel_by_pixel(name: str) -> None:
    net = fresh(name, classes=2).eval()
    with torch.inference_mode():
        scores = net(normalised(name, painted(2, 33, 47)))
    assert scores.shape == (2, 2, 33, 47)
    assert torch.isfinite(scores).all()


def test_there_is_no_other_network() -> None:
    with pytest.raises(ArchitectureError, match="no segmentation network unet; there are fcn4s-"):
        build("unet", 3)


@pytest.mark.parametrize("stages", [-1, 6])
def test_there_are_only_so_many_stages_to_freeze(stages: int) -> None:
    net = nn.Module()
    with pytest.raises(ArchitectureError, match=f"has 5 stages to freeze, not {stages}"):
        freeze_first(net, find(DILATED), stages)


@pytest.mark.parametrize(("name", "stages"), [(LIGHT, 0), (LIGHT, 3), (SEGNET, 5)])
def test_frozen_stages_and_their_statistics_stay_as_they_are(name: str, stages: int) -> None:
    net = fresh(name)
    architecture = find(name)
    freeze_first(net, architecture, stages)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    norms = [module for module in net.modules() if isinstance(module, FrozenBatchNorm2d)]
    assert bool(norms) == bool(stages)
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    for _ in range(2):  # the layers that score begin at 0
        outputs = net.train()(normalised(name, painted()))
        scores = outputs[0] if isinstance(outputs, tuple) else outputs
        optimizer.zero_grad()
        masks = torch.arange(64)[:, None].expand(2, 64, 96) % 3
        functional.cross_entropy(scores, masks).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    changed = {key for key, now in net.state_dict().items() if not now.equal(before[key])}
    frozen = tuple(prefix for group in architecture.stages[:stages] for prefix in group)
    assert not [key for key in changed if belongs(key, frozen)]
    kept = {key for key in before if belongs(key, frozen)}
    assert bool(kept) == bool(stages)
    moving = {key for key in before if key.endswith((".weight", "running_mean"))}
    assert moving - kept <= changed


def test_everything_can_be_frozen_but_the_head() -> None:
    with torch.device("meta"):
        net = build(DILATED, 2)
    freeze_first(net, find(DILATED), 5)
    learning = {key for key, parameter in net.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(belongs(key, find(DILATED).stages[-1]) for key in learning)
