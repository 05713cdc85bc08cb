"""What cannot be trained is refused before anything is read, and the option is named."""

from typing import Any

import pytest

from training.nets.architecture import ArchitectureError
from training.tasks.segment.config import Segment
from training.weights import WeightsError


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "My Roofs"}, "--name must be small letters.*'My Roofs'"),
        ({"name": "../roofs"}, "--name must be small letters"),
        ({"height": 31}, "--height must be 32 or more, not 31"),
        ({"width": 0}, "--width must be 32 or more, not 0"),
        ({"frozen_stages": -1}, "--frozen-stages must be 0 or more, not -1"),
        ({"held_out": 0.0}, "--held-out must be between 0 and 1, not 0.0"),
        ({"held_out": 1.0}, "--held-out must be between 0 and 1, not 1.0"),
        ({"test": 0.0}, "--test must be between 0 and 1, not 0.0"),
        ({"test": 1.0}, "--test must be between 0 and 1, not 1.0"),
        ({"class_weights": -0.1}, "--class-weights must be from 0 to 1, not -0.1"),
        ({"class_weights": 1.1}, "--class-weights must be from 0 to 1, not 1.1"),
        ({"class_weights": float("nan")}, "--class-weights must be from 0 to 1, not nan"),
        ({"balance": -0.1}, "--balance must be from 0 to 1, not -0.1"),
        ({"balance": 1.1}, "--balance must be from 0 to 1, not 1.1"),
        ({"auxiliary": -0.4}, "--auxiliary must be 0 or more, not -0.4"),
        ({"precisions": ("int8",)}, "--precisions must have fp32"),
        ({"workers": -1}, "--workers must be 0 or more, not -1"),
        ({"memory_mib": -1}, "--memory-mib must be 0 or more, not -1"),
        (
            {"weights": None, "frozen_stages": 2},
            "--frozen-stages 2 keeps published weights .* --frozen-stages 0",
        ),
        ({"weights": None, "keep_statistics": True}, "--keep-statistics needs --weights"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Segment(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": 0, "balance": 0, "auxiliary": 0},
        {"class_weights": 1, "balance": 1},
        {"height": 32, "width": 32},
        {"weights": None, "frozen_stages": 0},
        {"name": "a" * 64},
    ],
)
def test_the_ends_of_each_range_are_in_it(options: dict[str, Any]) -> None:
    config = Segment(**options)
    assert all(getattr(config, name) == value for name, value in options.items())


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [
        *((f"fcn4s-efficientnet_lite{n}", f"efficientnet-lite{n}-imagenet") for n in range(3)),
        ("fcn8s-efficientnet_lite0", "efficientnet-lite0-imagenet"),
        ("fcn8s-vgg16", "vgg16-imagenet-features"),
        ("fcn32s-vgg16", "vgg16-imagenet-features"),
        ("segnet", "vgg16-imagenet-features"),
        ("fcn8s-resnet50_keras", "resnet50-keras-imagenet"),
    ],
)
def test_a_network_begins_with_the_weights_of_its_body(architecture: str, weights: str) -> None:
    config = Segment(architecture=architecture).resolved()
    assert config.weights == weights
    assert config.resolved() == config


def test_the_default_weights_are_of_the_default_network() -> None:
    assert Segment().resolved() == Segment()


@pytest.mark.parametrize(
    ("architecture", "advice"),
    [
        ("fcn4s-efficientnet_lite3", "--weights, a file of its own or of its body"),
        ("fcn-resnet50", "--weights, torchvision:FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"),
        ("fcn-resnet101", "--weights, torchvision:FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1"),
    ],
)
def test_other_networks_must_be_told_their_weights(architecture: str, advice: str) -> None:
    with pytest.raises(WeightsError, match=f"{architecture} does not begin with .*{advice}"):
        Segment(architecture=architecture).resolved()
    chosen: tuple[dict[str, Any], ...] = (
        {"weights": "a.pth"},
        {"weights": None, "frozen_stages": 0},
    )
    for options in chosen:
        config = Segment(architecture=architecture, **options)
        assert config.resolved() is config


def test_an_architecture_there_is_not() -> None:
    with pytest.raises(ArchitectureError, match="there is no segmentation network unet"):
        Segment(architecture="unet").resolved()
