"""torchvision's classifiers, adapted to other classes, channels and to small pictures.

Only layers that must change are changed, and the parameters keep torchvision's names, so the
published weights load strictly wherever the shapes are still the published ones.
"""

from typing import Any

import torchvision
from torch import nn

#: Hidden units of a VGG for small pictures, whose last map is one pixel of 512 channels.
_SMALL_VGG_HIDDEN = 512


def vgg(name: str, classes: int, channels: int, small_images: bool, dropout: float) -> nn.Module:
    """A VGG (Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556).

    For small pictures the convolutions stay as they are; five poolings take 32x32 pixels to one,
    which 512 hidden units read in place of the 4096 that read 7x7.
    """
    net = _build(name, num_classes=classes, dropout=dropout)
    if small_images:
        width = _SMALL_VGG_HIDDEN
        net.avgpool = nn.AdaptiveAvgPool2d(1)
        net.classifier = nn.Sequential(
            nn.Linear(512, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, classes),
        )
        for layer in net.classifier:
            if isinstance(layer, nn.Linear):
                # torchvision's 0.01 suits 4096 inputs; from 512 the signal would fade.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return _read_channels(net, "features.0", channels)


def resnet(name: str, classes: int, channels: int, small_images: bool) -> nn.Module:
    """A ResNet (He et al., 2015, https://arxiv.org/abs/1512.03385).

    For small pictures the stem is one 3x3 convolution at full size, with no pooling.
    """
    net = _build(name, num_classes=classes)
    if small_images:
        net.conv1 = _conv3x3(net.conv1)
        net.maxpool = nn.Identity()
    return _read_channels(net, "conv1", channels)


def resnet50_keras(classes: int, channels: int) -> nn.Module:
    """The ResNet-50 of Keras: the paper's first edition, as its Caffe weights need it.

    Where torchvision's halves the picture in the 3x3 convolution of a stage's first block, this
    one does in the 1x1 before it; and its batch normalisations add 0.001 to the variance. The
    parameters are those of ``resnet50``.
    """
    net = _build("resnet50", num_classes=classes)
    for stage in (net.layer2, net.layer3, net.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, 0.01
    return _read_channels(net, "conv1", channels)


def googlenet(classes: int, channels: int, small_images: bool, dropout: float) -> nn.Module:
    """GoogLeNet (Szegedy et al., 2014, https://arxiv.org/abs/1409.4842), batch-normalised.

    In training mode it gives torchvision's ``GoogLeNetOutputs(logits, aux_logits2, aux_logits1)``,
    in evaluation mode logits alone. For small pictures the first convolution is 3x3 at full size
    and the first pooling goes, so 32x32 pixels are 16x16, 8x8 and 4x4 in the three groups of
    inception blocks; the auxiliary heads pool to 4x4 and fit.
    """
    net = _build("googlenet", num_classes=classes, init_weights=False, dropout=dropout)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):  # torchvision's own draw takes ten seconds
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if small_images:
        net.conv1.conv = _conv3x3(net.conv1.conv)
        net.maxpool1 = nn.Identity()
    return _read_channels(net, "conv1.conv", channels)


def mobilenet_v2(classes: int, channels: int, small_images: bool, dropout: float) -> nn.Module:
    """MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381).

    For small pictures the first two of its five halvings are left out, which changes no parameter.
    """
    net = _build("mobilenet_v2", num_classes=classes, dropout=dropout)
    if small_images:
        net.features[0][0].stride = (1, 1)
        net.features[2].conv[1][0].stride = (1, 1)
    return _read_channels(net, "features.0.0", channels)


def _build(name: str, **options: Any) -> Any:
    return torchvision.models.get_model(name, weights=None, **options)


def _conv3x3(conv: nn.Conv2d) -> nn.Conv2d:
    """A 3x3 convolution that keeps the picture's size, in place of a larger one that halves it."""
    new = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1, bias=conv.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new


def _read_channels(net: nn.Module, first: str, channels: int) -> nn.Module:
    """The network with a first convolution that reads another number of channels."""
    conv = net.get_submodule(first)
    assert isinstance(conv, nn.Conv2d)
    if conv.in_channels == channels:
        return net
    assert not isinstance(conv.padding, str)
    new = nn.Conv2d(
        channels,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        (conv.stride[0], conv.stride[1]),
        (conv.padding[0], conv.padding[1]),
        bias=conv.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    net.set_submodule(first, new)
    return net
