"""A body is the classifier below its head."""

from math import ceil

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from training.nets.architectures import build as build_classifier
from training.nets.efficientnet_lite import SCALES, EfficientNetLite
from training.nets.segmentation.bodies import (
    Body,
    LiteBody,
    ResNetBody,
    VggBody,
    vgg16_features,
)

SIZES = [(96, 128), (33, 47), (45, 60)]


def taken_over(body: Body, classifier: nn.Module) -> Body:
    """The body in evaluation mode with a classifier's weights."""
    body.load_state_dict({key: classifier.state_dict()[key] for key in body.state_dict()})
    return body.eval()


def sizes(body: Body, height: int, width: int) -> list[tuple[int, ...]]:
    """Shapes of a body's maps, without the batch."""
    with torch.inference_mode():
        return [tuple(one.shape[1:]) for one in body.eval()(torch.zeros(1, 3, height, width))]


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_the_last_map_is_what_the_lite_classifier_looks_at(name: str, stride: int) -> None:
    torch.manual_seed(0)
    classifier = EfficientNetLite(SCALES[name], 4).eval()
    body = taken_over(LiteBody(name, stride), classifier)
    images = torch.randn(2, 3, 72, 100)
    with torch.inference_mode():
        last = functional.relu6(classifier._bn1(classifier._conv_head(body(images)[-1])))
        torch.testing.assert_close(last, classifier.features(images))


@pytest.mark.parametrize("name", ["resnet50", "resnet50_keras"])
def test_the_last_map_is_what_the_resnet_looks_at(name: str) -> None:
    torch.manual_seed(0)
    classifier = build_classifier(name, 4).eval()
    body = taken_over(ResNetBody(name), classifier)
    images = torch.randn(1, 3, 72, 100)
    head = classifier.get_submodule("fc")
    with torch.inference_mode():
        torch.testing.assert_close(head(body(images)[-1].mean((2, 3))), classifier(images))


def test_the_maps_of_vgg_are_what_its_poolings_give() -> None:
    torch.manual_seed(0)
    body = VggBody(hidden=8).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        fine, middle, last = body(images)
        torch.testing.assert_close(fine, body.features[:17](images))
        torch.testing.assert_close(middle, body.features[:24](images))
        read = functional.relu(body.conv6(body.features(images)))
        torch.testing.assert_close(last, functional.relu(body.conv7(read)))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_convolutions_of_vgg_are_torchvisions(batch_norm: bool) -> None:
    name = "vgg16_bn" if batch_norm else "vgg16"
    with torch.device("meta"):
        published = torchvision.models.get_model(name).features
    ours = vgg16_features(batch_norm=batch_norm)
    assert str(ours) == str(published)
    shapes = {key: tensor.shape for key, tensor in published.state_dict().items()}
    assert {key: tensor.shape for key, tensor in ours.state_dict().items()} == shapes


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(
    "body",
    [
        LiteBody("efficientnet_lite0"),
        LiteBody("efficientnet_lite1", stride=8),
        ResNetBody("resnet50"),
        VggBody(hidden=8),
    ],
    ids=["lite", "lite8", "resnet", "vgg"],
)
def test_maps_are_halved_and_rounded_up(body: Body, height: int, width: int) -> None:
    strides = [body.stride * 2**level for level in range(len(body.channels))]
    assert strides[-1] == 32
    assert sizes(body, height, width) == [
        (channels, ceil(height / stride), ceil(width / stride))
        for channels, stride in zip(body.channels, strides, strict=True)
    ]


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    body = VggBody(hidden=8)
    images = torch.randn(1, 3, 32, 32)

    def last() -> Tensor:
        with torch.no_grad():
            maps: list[Tensor] = body(images)
        return maps[-1]

    body.eval()
    assert last().equal(last())
    body.train()
    assert not last().equal(last())
