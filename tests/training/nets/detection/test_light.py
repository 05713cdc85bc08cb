"""The body of the light detector is the classifier below its head."""

import pytest
import torch
from torch.nn import functional

from training.nets.detection.light import LiteBackbone, LiteBody
from training.nets.efficientnet_lite import SCALES, EfficientNetLite


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_the_last_map_is_what_the_classifier_looks_at(name: str) -> None:
    torch.manual_seed(0)
    classifier = EfficientNetLite(SCALES[name], 4).eval()
    body = LiteBody(name).eval()
    body.load_state_dict({key: classifier.state_dict()[key] for key in body.state_dict()})
    images = torch.randn(2, 3, 72, 100)
    with torch.inference_mode():
        maps = body(images)
        last = functional.relu6(classifier._bn1(classifier._conv_head(maps["2"])))
        torch.testing.assert_close(last, classifier.features(images))
    assert [maps[key].shape[1] for key in ("0", "1", "2")] == body.channels


def test_maps_halve_from_an_eighth_on() -> None:
    backbone = LiteBackbone("efficientnet_lite0").eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 128, 192))
    shapes = {name: tuple(one.shape) for name, one in maps.items()}
    channels = backbone.out_channels
    assert shapes == {
        "0": (1, channels, 16, 24),
        "1": (1, channels, 8, 12),
        "2": (1, channels, 4, 6),
        "pool": (1, channels, 2, 3),
    }
