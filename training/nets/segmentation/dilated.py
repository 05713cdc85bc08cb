"""torchvision's FCN: a ResNet whose last stages keep their resolution, with one head on top."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import segmentation


class DilatedFcn(nn.Module):
    """``torchvision.models.segmentation.fcn_resnet50`` or ``fcn_resnet101``, the same parameters.

    Its last two stages do not halve the picture but spread their convolutions (dilation), so the
    head scores maps of 1/8 of the size. The auxiliary head on the last stage but one is used in
    training alone.
    """

    def __init__(self, name: str, classes: int) -> None:
        """Build with random weights on ``resnet50``, ``resnet50_keras`` or ``resnet101``."""
        super().__init__()
        net = getattr(segmentation, f"fcn_{name.removesuffix('_keras')}")(
            weights=None, weights_backbone=None, num_classes=classes, aux_loss=True
        )
        if name.endswith("_keras"):
            _as_keras(net.backbone)
        self.backbone, self.classifier = net.backbone, net.classifier
        self.aux_classifier = net.aux_classifier

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``float32[N, 3, H, W]`` -> scores ``float32[N, classes, H, W]``.

        In training mode also the auxiliary ones, ``float32[N, classes, ceil(H / 8), ceil(W / 8)]``.
        """
        maps = self.backbone(images)
        scores: Tensor = functional.interpolate(
            self.classifier(maps["out"]), size=images.shape[-2:], mode="bilinear"
        )
        return (scores, self.aux_classifier(maps["aux"])) if self.training else scores


def _as_keras(backbone: Any) -> None:
    """Let a spread ResNet-50 take the weights of ``training.nets.adapted.resnet50_keras``.

    There a stage halves the picture before the 3x3 convolution of its first block, so that where it
    does not halve, this convolution must be spread as much as those after it.
    """
    for stage in (backbone.layer2, backbone.layer3, backbone.layer4):
        first, spread = stage[0], stage[1].conv2.dilation
        first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
        first.conv2.dilation = first.conv2.padding = spread
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, 0.01
