"""A detector for a CPU: EfficientNet-Lite below a feature pyramid of 128 channels."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from training.nets.efficientnet_lite import Trunk
from training.nets.stages import freeze_statistics

#: Stages of blocks after which a map is taken: at 1/8, 1/16 and 1/32 of the picture's size.
_TAKEN = (2, 4, 6)
_CHANNELS, _HIDDEN, _POOLED = 128, 384, 7
#: Two sizes to an octave, since the pictures are small; sides in pixels.
_ANCHORS = tuple((side, round(side * 2**0.5)) for side in (24, 48, 96, 192))
_RATIOS = (0.5, 1.0, 2.0)


class LiteBody(Trunk):
    """EfficientNet-Lite without its classifier: ``float32[N, 3, H, W]`` to maps of three scales."""

    def __init__(self, name: str) -> None:
        super().__init__(name, _TAKEN)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps ``"0"``, ``"1"``, ``"2"`` at 1/8, 1/16 and 1/32 of the size."""
        return OrderedDict((str(at), found) for at, found in enumerate(self.maps(images)))


class LiteBackbone(nn.Module):
    """The body and a pyramid on it: maps ``"0"``, ``"1"``, ``"2"`` and, half as large, ``"pool"``.

    Attributes:
        out_channels: of every map.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body = LiteBody(name)
        self.fpn = FeaturePyramidNetwork(
            self.body.channels, _CHANNELS, extra_blocks=LastLevelMaxPool()
        )
        self.out_channels = _CHANNELS

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``float32[N, 3, H, W]`` -> maps ``float32[N, 128, h, w]`` by name."""
        maps: dict[str, Tensor] = self.fpn(self.body(images))
        return maps


def light(name: str, classes: int, **options: Any) -> FasterRCNN:
    """Faster R-CNN on an EfficientNet-Lite; batch statistics stay as they are.

    Args:
        name: a key of ``training.nets.efficientnet_lite.SCALES``.
        classes: with the background.
        options: of torchvision's ``FasterRCNN``, in place of those chosen here.
    """
    backbone = LiteBackbone(name)
    freeze_statistics(backbone)
    chosen: dict[str, Any] = {
        "rpn_anchor_generator": AnchorGenerator(_ANCHORS, (_RATIOS,) * len(_ANCHORS)),
        "rpn_pre_nms_top_n_train": 1000,
        "rpn_post_nms_top_n_train": 400,
        "rpn_pre_nms_top_n_test": 400,
        "rpn_post_nms_top_n_test": 150,
        "box_batch_size_per_image": 64,
        # A proposal of 96 pixels is read at 1/16, where 224 would be in a picture of 800.
        "box_roi_pool": MultiScaleRoIAlign(
            ["0", "1", "2"], _POOLED, sampling_ratio=2, canonical_scale=96
        ),
        "box_head": TwoMLPHead(_CHANNELS * _POOLED**2, _HIDDEN),
        "box_predictor": FastRCNNPredictor(_HIDDEN, classes),
        **options,
    }
    return FasterRCNN(backbone, **chosen)
