"""What cannot be trained is refused before anything is read, and the option is named."""

from typing import Any

import pytest

from training.nets.detection.architectures import GRAPH_IOU, GRAPH_SCORE
from training.tasks.detect.config import Detect
from training.weights import WeightsError


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "My Parts"}, "--name must be small letters.*'My Parts'"),
        ({"name": "../parts"}, "--name must be small letters"),
        ({"name": ""}, "--name must be small letters"),
        ({"name": "a" * 65}, "--name must be small letters"),
        ({"size": 16}, "--size must be a multiple of 32, not 16"),
        ({"size": 100}, "--size must be a multiple of 32, not 100"),
        ({"size": -32}, "--size must be a multiple of 32, not -32"),
        ({"size": 0}, "--size must be a multiple of 32, not 0"),
        ({"frozen_stages": -1}, "--frozen-stages must be 0 or more, not -1"),
        ({"held_out": 0.0}, "--held-out must be between 0 and 1, not 0.0"),
        ({"held_out": 1.0}, "--held-out must be between 0 and 1, not 1.0"),
        ({"test": 0.0}, "--test must be between 0 and 1, not 0.0"),
        ({"test": 1.0}, "--test must be between 0 and 1, not 1.0"),
        ({"threshold": 0.04}, "--threshold must be from 0.05 to 1, not 0.04"),
        ({"threshold": 1.01}, "--threshold must be from 0.05 to 1, not 1.01"),
        ({"threshold": float("nan")}, "--threshold must be from 0.05 to 1, not nan"),
        ({"iou_threshold": -0.1}, "--iou-threshold must be from 0 to 0.6, not -0.1"),
        ({"iou_threshold": 0.61}, "--iou-threshold must be from 0 to 0.6, not 0.61"),
        ({"precisions": ("int8",)}, "--precisions must have fp32"),
        ({"workers": -1}, "--workers must be 0 or more, not -1"),
        ({"memory_mib": -1}, "--memory-mib must be 0 or more, not -1"),
        (
            {"weights": None, "frozen_stages": 2},
            "--frozen-stages 2 keeps published weights .* --frozen-stages 0",
        ),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Detect(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": GRAPH_SCORE, "iou_threshold": GRAPH_IOU},
        {"threshold": 1, "iou_threshold": 0},
        {"size": 32},
        {"weights": None, "frozen_stages": 0},
        {"name": "a" * 64},
    ],
)
def test_the_ends_of_each_range_are_in_it(options: dict[str, Any]) -> None:
    config = Detect(**options)
    assert all(getattr(config, name) == value for name, value in options.items())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_detector_begins_with_the_weights_of_its_body(number: int) -> None:
    config = Detect(architecture=f"efficientnet_lite{number}-fpn").resolved()
    assert config.weights == f"efficientnet-lite{number}-imagenet"
    assert config.resolved() == config
    assert Detect().resolved() == Detect()


@pytest.mark.parametrize(
    ("architecture", "advice"),
    [
        ("efficientnet_lite3-fpn", "--weights, a file of its own or of its body"),
        ("efficientnet_lite4-fpn", "--weights, a file of its own or of its body"),
        ("resnet50-fpn", "--weights, torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1"),
        ("resnet50-fpn-v2", "torchvision:FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1"),
        ("mobilenet_v3_large-fpn", "torchvision:FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1"),
        (
            "mobilenet_v3_large-320-fpn",
            "torchvision:FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1",
        ),
    ],
)
def test_other_detectors_must_be_told_their_weights(architecture: str, advice: str) -> None:
    with pytest.raises(WeightsError, match=f"{architecture} does not begin with .*{advice}"):
        Detect(architecture=architecture).resolved()
    chosen: tuple[dict[str, Any], ...] = (
        {"weights": "a.pth"},
        {"weights": None, "frozen_stages": 0},
    )
    for options in chosen:
        config = Detect(architecture=architecture, **options)
        assert config.resolved() is config
