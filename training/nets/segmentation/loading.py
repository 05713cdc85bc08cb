"""Published weights in a segmentation network: of its body alone, or of the whole."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from service.contract import DataSource
from training import files, torchvision_hub
from training.conversions import State, read_torch
from training.nets import architectures as classifiers
from training.nets.fitting import fit
from training.nets.segmentation.architectures import SegmenterArchitecture, class_layers
from training.pretrained import load_pretrained
from training.published import describe
from training.weights import TABLE, WeightsError

#: What a classifier calls the layers that a fully convolutional VGG has as convolutions.
_CONVOLUTIONALISED = {"classifier.0": "conv6", "classifier.3": "conv7"}


@dataclass(frozen=True, slots=True)
class Begun:
    """What a network began with.

    Attributes:
        source: for a model's manifest.
        whole: whether the weights were of the whole network, not of the body alone.
        lacks_norms: whether batch normalisations are new, between weights trained without; see
            ``training.nets.segmentation.normalised``.
        note: to tell the user; empty if there is nothing.
    """

    source: DataSource
    whole: bool
    lacks_norms: bool = False
    note: str = ""


def load(
    net: nn.Module,
    architecture: SegmenterArchitecture,
    locator: str,
    downloads: Path | None = None,
    *,
    keep_classes: bool = False,
) -> Begun:
    """Fetch weights and load them, all or nothing.

    Args:
        net: built from ``architecture``.
        architecture: of the network.
        locator: of weights of a classifier, as ``training.published`` has it, of torchvision's
            FCN (``torchvision:FCN_..._Weights.COCO_WITH_VOC_LABELS_V1``), or a file of either
            kind, such as another run's ``best.ckpt``.
        downloads: a folder that may hold the file or its package already.
        keep_classes: load what tells the classes as well, not what comes before it alone; the
            weights must be of as many.

    Raises:
        WeightsError: the weights are not of this network.
        ConversionError: the file is not what it should be.
        FileError: the file cannot be had, or has another hash than expected.
    """
    if _is_published_segmenter(locator, architecture):
        obtained = files.obtain(locator, downloads)
        member = locator.partition("?")[0].partition(":")[2]
        source = DataSource(name=locator, licence="BSD-3-Clause", url=torchvision_hub.url(member))
        state = read_torch(obtained.path)
    elif locator in TABLE or files.is_remote(locator) or not _is_path(locator):
        return _load_body(net, architecture, locator, downloads)
    else:
        obtained = files.obtain(locator, downloads)
        source = DataSource(name=Path(locator).name, licence="unknown")
        state = read_torch(obtained.path)
        if not any(name.startswith(architecture.body) for name in state):
            return _load_body(net, architecture, locator, downloads)
    of_classes = frozenset() if keep_classes else class_layers(architecture)
    fit(net, state, locator, "network", of_classes.__contains__)
    return Begun(source, whole=True, note=obtained.note)


def _is_path(locator: str) -> bool:
    return Path(locator.partition("?")[0]).exists()


def _is_published_segmenter(locator: str, architecture: SegmenterArchitecture) -> bool:
    kind, _, member = locator.partition(":")
    if kind != "torchvision" or not member.startswith("FCN_"):
        return False
    if member.partition(".")[0] != architecture.published:
        raise WeightsError(
            f"{locator} is not of {architecture.name}; name the architecture it is of"
        )
    return True


def _load_body(
    net: nn.Module, architecture: SegmenterArchitecture, locator: str, downloads: Path | None
) -> Begun:
    """Give the body the weights of a classifier."""
    if not architecture.classifier:
        raise WeightsError(
            f"{architecture.name} can begin with the weights of a whole network alone, such as "
            f"torchvision:{architecture.published}.COCO_WITH_VOC_LABELS_V1"
        )
    name = _classifier(architecture, locator)
    published = describe(locator, name)
    classifier = classifiers.build(name, len(published.labels) or 1000)
    loaded = load_pretrained(classifier, name, locator, downloads)
    body = net.get_submodule(architecture.body.removesuffix("."))
    lacks_norms = name != architecture.classifier
    if lacks_norms:
        _fill_between(body, classifier)
    else:
        _fill(body, classifier, but=published.lacks)
    return Begun(published.source, whole=False, lacks_norms=lacks_norms, note=loaded.note)


def _classifier(architecture: SegmenterArchitecture, locator: str) -> str:
    """The network of the weights: the body's, or that one without its batch normalisations."""
    if locator in TABLE or locator.startswith("torchvision:"):
        told = describe(locator).architecture
        if f"{told}_bn" == architecture.classifier:
            return told
    return architecture.classifier


def _fill(body: nn.Module, classifier: nn.Module, but: tuple[str, ...]) -> None:
    """Give a body what it has of a classifier, but for what the weights lacked."""
    state = classifier.state_dict()
    wanted = body.state_dict()
    # SegNet's encoder is a classifier's ``features`` and not what holds them.
    prefix = "" if any(name in state for name in wanted) else "features."
    given = {name: state[prefix + name] for name in wanted if prefix + name in state}
    if not but:
        given |= _convolutionalised(state, wanted)
    body.load_state_dict(given, strict=False)


def _convolutionalised(state: State, wanted: State) -> dict[str, Tensor]:
    """Fully connected layers as convolutions over the map they read whole.

    Those of another number of channels stay out.
    """
    found = {}
    for old, new in _CONVOLUTIONALISED.items():
        for part in ("weight", "bias"):
            own, other = wanted.get(f"{new}.{part}"), state.get(f"{old}.{part}")
            if own is not None and other is not None and own.numel() == other.numel():
                found[f"{new}.{part}"] = other.reshape(own.shape)
    return found


def _fill_between(body: nn.Module, classifier: nn.Module) -> None:
    """Give the convolutions of a normalised VGG those of one without, in their order."""
    ours = [module for module in body.modules() if isinstance(module, nn.Conv2d)]
    theirs = [module for module in classifier.modules() if isinstance(module, nn.Conv2d)]
    for own, other in zip(ours, theirs, strict=True):
        assert own.bias is not None
        assert other.bias is not None
        with torch.no_grad():
            own.weight.copy_(other.weight)
            own.bias.copy_(other.bias)
