"""Classifiers without what tells their classes: pictures to maps of several scales."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import vgg

from training.nets import architectures as classifiers
from training.nets.efficientnet_lite import Trunk


class Body(nn.Module):
    """Maps of a picture at several scales, each half as large as the one before, rounded up.

    The parameters have the names of the classifier's.

    Attributes:
        channels: of the maps, from the finest to the coarsest.
        stride: pixels of the picture to one of the finest map.
    """

    channels: Sequence[int]
    stride: int

    def forward(self, images: Tensor) -> list[Tensor]:
        """``float32[N, 3, H, W]`` -> maps ``float32[N, C, ceil(H / s), ceil(W / s)]``."""
        raise NotImplementedError


class LiteBody(Trunk, Body):
    """EfficientNet-Lite without its head: maps at 1/4 (with a stride of 4), 1/8, 1/16 and 1/32."""

    def __init__(self, name: str, stride: int = 4) -> None:
        """Build ``efficientnet_lite0`` to ``4`` with random weights, of a stride of 4 or 8."""
        super().__init__(name, (2, 4, 6) if stride == 8 else (1, 2, 4, 6))
        self.stride = stride

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Body`."""
        return self.maps(images)


class ResNetBody(Body):
    """A ResNet without its head: maps at 1/8, 1/16 and 1/32 of the size."""

    stride = 8

    def __init__(self, name: str) -> None:
        """Build ``resnet50`` or ``resnet50_keras`` with random weights."""
        super().__init__()
        net: Any = classifiers.build(name, classes=1)
        self.conv1, self.bn1 = net.conv1, net.bn1
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        wide = net.fc.in_features
        self.channels = [wide // 4, wide // 2, wide]

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Body`."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        fine = self.layer2(self.layer1(x))
        middle = self.layer3(fine)
        return [fine, middle, self.layer4(middle)]


class VggBody(Body):
    """VGG-16 with its fully connected layers as convolutions: maps at 1/8, 1/16 and 1/32.

    The first of those layers reads 7x7 pixels of the last map. In the paper the picture is padded
    by 100 pixels so that some remain; here that map is padded by 3, so that it keeps its size.
    """

    stride = 8

    def __init__(self, hidden: int = 4096, dropout: float = 0.5) -> None:
        """Build with random weights.

        Args:
            hidden: channels of the two last maps; published weights have 4096.
            dropout: after each of them, while training.
        """
        super().__init__()
        self.features = vgg16_features(batch_norm=False)
        for module in self.features:
            if isinstance(module, nn.MaxPool2d):
                module.ceil_mode = True
        self.conv6 = nn.Conv2d(512, hidden, 7, padding=3)
        self.conv7 = nn.Conv2d(hidden, hidden, 1)
        for layer in (self.conv6, self.conv7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.dropout = nn.Dropout2d(dropout)
        self.channels = [256, 512, hidden]

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Body`."""
        maps, x = [], images
        for module in self.features:
            x = module(x)
            if isinstance(module, nn.MaxPool2d):
                maps.append(x)
        x = self.dropout(functional.relu(self.conv6(maps[-1])))
        x = self.dropout(functional.relu(self.conv7(x)))
        return [maps[2], maps[3], x]


def vgg16_features(*, batch_norm: bool) -> nn.Sequential:
    """The convolutions of ``torchvision.models.vgg16`` or ``vgg16_bn``, with random weights.

    Without the fully connected layers behind them, which take seconds to draw.
    """
    layers: nn.Sequential = vgg.make_layers(vgg.cfgs["D"], batch_norm=batch_norm)
    for module in layers:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return layers
