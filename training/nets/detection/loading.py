"""Published weights in a detector: of its body alone, or of all but the classes."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from service.contract import DataSource
from training import files, torchvision_hub
from training.conversions import State, read_torch
from training.nets import architectures as classifiers
from training.nets.detection.architectures import DetectorArchitecture
from training.nets.detection.detector import Detector
from training.nets.fitting import fit
from training.pretrained import load_pretrained
from training.published import describe
from training.weights import WeightsError

_BODY = "backbone.body."
_PREDICTOR = "roi_heads.box_predictor."


@dataclass(frozen=True, slots=True)
class Begun:
    """What a detector began with.

    Attributes:
        source: for a model's manifest.
        is_detector: whether the weights were a detector's, not of the body alone.
        fresh: whether the classes are learned anew.
        note: to tell the user; empty if there is nothing.
    """

    source: DataSource
    is_detector: bool
    fresh: bool = True
    note: str = ""


def load(
    net: Detector,
    architecture: DetectorArchitecture,
    locator: str,
    downloads: Path | None = None,
    *,
    keep_classes: bool = False,
) -> Begun:
    """Fetch weights and load them, all or nothing.

    Args:
        net: built from ``architecture``.
        architecture: of the detector.
        locator: of weights of a classifier, as ``training.published`` has it, of torchvision's
            detectors (``torchvision:FasterRCNN_..._Weights.COCO_V1``), or a file of either kind,
            such as another run's ``best.ckpt``.
        downloads: a folder that may hold the file or its package already.
        keep_classes: load what tells the classes as well, not the body, pyramid and proposals
            alone; the weights must be of as many.

    Raises:
        WeightsError: the weights are not of this network.
        ConversionError: the file is not what it should be.
        FileError: the file cannot be had, or has another hash than expected.
    """
    if _is_published_detector(locator, architecture):
        obtained = files.obtain(locator, downloads)
        source = DataSource(
            name=locator,
            licence="BSD-3-Clause",
            url=torchvision_hub.url(locator.partition(":")[2]),
        )
        state = _adjusted(read_torch(obtained.path), net, architecture.published_eps)
        return _load_detector(net, state, locator, source, keep_classes, obtained.note)
    if files.is_remote(locator) or not _is_path(locator):
        return _load_body(net, architecture, locator, downloads)
    obtained = files.obtain(locator, downloads)
    state = read_torch(obtained.path)
    if not any(name.startswith("roi_heads.") for name in state):
        return _load_body(net, architecture, locator, downloads)
    source = DataSource(name=Path(locator).name, licence="unknown")
    return _load_detector(net, state, locator, source, keep_classes, "")


def _is_path(locator: str) -> bool:
    return Path(locator.partition("?")[0]).exists()


def _is_published_detector(locator: str, architecture: DetectorArchitecture) -> bool:
    kind, _, member = locator.partition(":")
    if kind != "torchvision" or not member.startswith("FasterRCNN_"):
        return False
    if member.partition(".")[0] != architecture.published:
        raise WeightsError(
            f"{locator} is not of {architecture.name}; name the architecture it is of"
        )
    return True


def _load_body(
    net: Detector, architecture: DetectorArchitecture, locator: str, downloads: Path | None
) -> Begun:
    """Give the body the weights of a classifier."""
    if architecture.classifier is None:
        raise WeightsError(
            f"{architecture.name} can begin with the weights of a detector alone, such as "
            f"torchvision:{architecture.published}.COCO_V1"
        )
    source = describe(locator, architecture.classifier)
    classes = len(source.labels) or 1000
    classifier = classifiers.build(architecture.classifier, classes)
    loaded = load_pretrained(classifier, architecture.classifier, locator, downloads)
    state = classifier.state_dict()
    body = net.backbone.body
    body.load_state_dict({name: state[name] for name in body.state_dict()})
    return Begun(source.source, is_detector=False, note=loaded.note)


def _load_detector(
    net: Detector,
    state: State,
    locator: str,
    source: DataSource,
    keep_classes: bool,
    note: str,
) -> Begun:
    def fresh(name: str) -> bool:
        return not keep_classes and name.startswith(_PREDICTOR)

    fit(net, state, locator, "detector", fresh)
    return Begun(source, is_detector=True, fresh=not keep_classes, note=note)


def _adjusted(state: State, net: Detector, eps: float) -> State:
    """Weights made for another ``eps`` of batch normalisation than the network's.

    The variance takes up the difference, so that the sum under the root is the published one.
    """
    adjusted = _as_named_now(state)
    for name, module in net.named_modules():
        key = f"{name}.running_var"
        own = getattr(module, "eps", None)
        if key in adjusted and own is not None and own != eps:
            adjusted[key] = adjusted[key] + (eps - own)
    return adjusted


def _as_named_now(state: State) -> dict[str, Tensor]:
    """Torchvision's oldest files call some layers otherwise than it does now."""
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if name.startswith("backbone.fpn.") and len(parts) == 5:
            parts.insert(4, "0")  # inner_blocks.0.weight -> inner_blocks.0.0.weight
        elif name.startswith("rpn.head.conv.") and len(parts) == 4:
            parts[3:3] = ["0", "0"]
        renamed[".".join(parts)] = tensor
    return renamed
