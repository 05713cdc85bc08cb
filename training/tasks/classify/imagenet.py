"""The shipped classifiers: EfficientNet-Lite with Google's ImageNet weights.

Of the ImageNet weights that registries hold, EfficientNet-Lite2 has the best accuracy for what it
costs on a CPU, and the family was made to be computed in 8 bits. Nothing is trained here: weights
are fetched, verified, exported, measured.

``sightline-train imagenet --data imagenet-sample-images`` takes three minutes on two cores and
gives, on those 1000 pictures, top-1 90.6 % (fp32) and 90.4 % (int8) for ``imagenet``, 88.0 % and
87.8 % for ``imagenet-small``.

Pictures are resized bilinearly, which takes 0.8 ms from 640x480 where bicubic, which the weights
were trained with, takes 1.4. On the 1000 pictures and their mirror images, the two reach
90.0 % and 90.2 % (fp32), 90.1 % and 90.5 % (int8) with ``imagenet``, 87.6 % and 88.2 % (fp32),
87.7 % and 88.2 % (int8) with ``imagenet-small``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torchvision.models import ResNet50_Weights

from service.contract import DataSource, InputGeometry
from training import weights
from training.data.imagenet_sample import NAME as SAMPLE_NAME
from training.data.imagenet_sample import SOURCE as SAMPLE_SOURCE
from training.data.imagenet_sample import sample_pictures
from training.data.paintings import SOURCE as CALIBRATION_SOURCE
from training.data.paintings import calibration_crops
from training.data.pictures import prepare
from training.exportable import Card, Exportable, Graph
from training.golden import golden_pictures
from training.nets.efficientnet_lite import SCALES, efficientnet_lite
from training.nets.folding import fold_norms
from training.nets.pixels import Pixels
from training.stored_half import round_weights
from training.tasks.classify.metrics import Accuracy, same_top1
from training.tasks.classify.net import Classifier

_SEED = 0
_CALIBRATION_CROPS = 100
_MEAN, _STD = 127.0, 128.0
#: The published evaluation scales the shorter side to this much more than the crop.
_MARGIN = 32


@dataclass(frozen=True, slots=True)
class Edition:
    """One shipped model.

    Attributes:
        weights: a row of ``training.weights.TABLE``.
        default: whether ``/classify`` uses it when a request names none.
        summary: what it is, in a sentence.
    """

    weights: str
    default: bool
    summary: str


EDITIONS: Mapping[str, Edition] = {
    "imagenet": Edition(
        "efficientnet-lite2-imagenet",
        default=True,
        summary="The 1000 classes of ImageNet by EfficientNet-Lite2.",
    ),
    "imagenet-small": Edition(
        "efficientnet-lite0-imagenet",
        default=False,
        summary="The 1000 classes of ImageNet by EfficientNet-Lite0, about twice as fast.",
    ),
}


def imagenet(name: str, data: Path | None = None, downloads: Path | None = None) -> Exportable:
    """Prepare one edition for export.

    Args:
        name: a key of EDITIONS.
        data: folder of imagenet-sample-images; without it nothing is measured.
        downloads: folder of packages already downloaded.

    Raises:
        FileError: weights or calibration pictures cannot be had.
        DataError: ``data`` is not that folder.
    """
    edition = EDITIONS[name]
    published = weights.TABLE[edition.weights]
    geometry = _geometry(published.architecture)
    net = efficientnet_lite(published.architecture)
    net.load_state_dict(weights.load(edition.weights, downloads))
    fold_norms(net.eval(), torch.zeros(1, 3, geometry.height, geometry.width))
    round_weights(net)
    crops = calibration_crops(geometry, _CALIBRATION_CROPS, _SEED, downloads)
    calibration = [{"images": crop} for crop in crops]
    golden = [{"images": p} for p in golden_pictures(geometry.height, geometry.width)]
    pictures = (
        [{"images": prepare(path, geometry)} for path in sample_pictures(data)] if data else []
    )
    graph = Graph(
        module=Classifier(Pixels(_MEAN, _STD), net),
        example={"images": torch.zeros(2, geometry.height, geometry.width, 3, dtype=torch.uint8)},
        outputs=("logits",),
        golden=golden,
        checked=[*golden, *(pictures or calibration)],
        calibration=calibration,
        precisions=("fp32", "int8"),  # in fp32 the file is as small as in fp16
        same=same_top1,
        half_weights=True,
    )
    measured_on = (SAMPLE_SOURCE,) if data else ()
    return Exportable(
        name=name,
        version="1",
        task="classify",
        description=edition.summary,
        graphs={"main": graph},
        input=geometry,
        card=_card(edition, published),
        command="sightline-train imagenet" + (f" --data {SAMPLE_NAME}" if data else ""),
        data=(
            DataSource(name=published.locator, licence=published.licence, url=published.url),
            DataSource(
                name="ImageNet (ILSVRC 2012), what the weights were trained on",
                licence="ImageNet's terms: non-commercial research",
                url="https://www.image-net.org",
            ),
            CALIBRATION_SOURCE,
            *measured_on,
        ),
        licence=published.licence,
        default=edition.default,
        labels=tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"]),
        config={
            "architecture": published.architecture,
            "weights_sha256": published.sha256,
            "calibration_crops": _CALIBRATION_CROPS,
        },
        seed=_SEED,
        evaluate=(
            Accuracy(pictures, np.arange(len(pictures)), SAMPLE_NAME, "all") if pictures else None
        ),
    )


def _geometry(architecture: str) -> InputGeometry:
    size = SCALES[architecture].size
    return InputGeometry(
        height=size,
        width=size,
        resize="shortest_side",
        crop=size / (size + _MARGIN),
        interpolation="bilinear",
    )


def _card(edition: Edition, published: weights.Weights) -> Card:
    return Card(
        summary=(
            f"{edition.summary} The weights are Google's, trained on ImageNet and converted to "
            f"PyTorch (`{published.locator}`); they are rounded to 16 bits, in which they "
            "are stored, and computed with in 32. Published quality: "
            f"{published.published}."
        ),
        use=(
            "Says which of 1000 everyday objects, animals and scenes fills a picture. It always "
            "answers with one of them, also for a picture that shows none; people, text and most "
            "of the world's things are not among them, and ImageNet's pictures come mostly from "
            "North America and Europe. Not for decisions about people."
        ),
        figures=(
            f"`{SAMPLE_NAME}` holds one picture a class and most likely comes from the training "
            "pictures, so these figures check the preprocessing and compare the variants with one "
            "another; they are not an accuracy on unseen pictures, for which see the published "
            "figure above. With 1000 pictures, differences of a few tenths of a point are chance. "
            "The 8-bit variant computes the same on processors with and without VNNI: its weights "
            "are scaled so that no pair of products overflows 16 bits."
        ),
        data=(
            "The 8-bit variant is calibrated on random crops of public-domain pictures. No picture "
            "of any of these sets is part of this folder; the golden inputs are drawn by code."
        ),
    )
