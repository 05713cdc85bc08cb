"""Weights for networks that stylize: published ones, and those of earlier runs."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from service.contract import DataSource, read_manifest
from training import weights
from training.conversions import State, read_torch
from training.nets.style.adain import adain_network
from training.nets.style.stylizer import Stylizer
from training.nets.style.vgg import ENCODED, Vgg19
from training.shipped_weights import is_model_folder, read_model_folder
from training.weights import STYLE_TABLE, WeightsError

VGG, DECODER = "vgg19-normalised", "adain-decoder"
"""Rows of the weights table for styles."""

_FINISH = "finish."
#: What ``Main`` puts before the names of the network's parameters.
_IN_GRAPH = "stylizer."


def source_of(row: str) -> DataSource:
    """A row of the weights table, for a manifest."""
    published = STYLE_TABLE[row]
    return DataSource(
        name=f"{row} ({published.locator})", licence=published.licence, url=published.url
    )


def load_vgg(downloads: Path | None = None, layers: tuple[str, ...] = ENCODED) -> Vgg19:
    """The normalised VGG-19, frozen and in evaluation.

    Args:
        downloads: a folder that may hold its package already.
        layers: activations it gives.

    Raises:
        FileError: it cannot be had.
    """
    vgg = Vgg19(layers)
    vgg.load_first(weights.load(VGG, downloads))
    return vgg.eval().requires_grad_(False)


def published_stylizer(downloads: Path | None = None) -> Stylizer:
    """The full network with the published decoder, in evaluation.

    Raises:
        FileError: its weights cannot be had.
    """
    net = adain_network()
    begin(net, DECODER, downloads)
    return net.eval()


@dataclass(frozen=True, slots=True)
class Begun:
    """Where weights come from.

    Attributes:
        sources: for the manifest.
    """

    sources: tuple[DataSource, ...]


def begin(net: Stylizer, locator: str, downloads: Path | None = None) -> Begun:
    """Give a network weights to start from.

    Args:
        net: full or slim.
        locator: ``adain-decoder``, for what a decoder has in common with the published one, or a
            path: of another run's ``best.ckpt``, or of the folder of an exported model.
        downloads: a folder that may hold packages already.

    Raises:
        WeightsError: they do not fit.
        ConversionError: the file is not what it should be.
        FileError: the file cannot be had.
    """
    if locator == DECODER:
        known, wanted = weights.load(DECODER, downloads), net.decoder.state_dict()
        common = {name: known[name] for name in known if name in wanted}
        lacking = _load(net.decoder, common, locator)
        if any(not name.startswith(STYLE_TABLE[DECODER].lacks) for name in lacking):
            raise WeightsError(f"{locator} lacks {', '.join(lacking[:5])}")
        load_encoder(net, downloads)
        return Begun((source_of(DECODER),))
    path = Path(locator)
    if not path.exists():
        raise WeightsError(f"{locator} is neither {DECODER} nor a file")
    if is_model_folder(path):
        shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
        state, sources = (
            read_model_folder(path, shapes, _IN_GRAPH),
            read_manifest(path).provenance.data,
        )
    else:
        state, sources = read_torch(path), (DataSource(name=path.name, licence="unknown"),)
    lacking = _load(net, state, locator)
    if not any(name.startswith(_FINISH) for name in state):  # of a full one, for a slim one too
        lacking = [name for name in lacking if not name.startswith(_FINISH)]
    if lacking:
        raise WeightsError(f"{locator} lacks {', '.join(lacking[:5])}")
    return Begun(sources)


def load_encoder(net: Stylizer, downloads: Path | None = None) -> None:
    """Give an encoder, which is never trained, its weights.

    Raises:
        FileError: they cannot be had.
    """
    vgg = net.encoder.get_submodule("vgg")
    assert isinstance(vgg, Vgg19)
    vgg.load_first(weights.load(VGG, downloads))


def _load(module: nn.Module, state: State, locator: str) -> list[str]:
    """Load what is there; returns the names that are lacking."""
    try:
        found = module.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{locator} does not fit the network: {error}") from error
    if found.unexpected_keys:
        raise WeightsError(
            f"{locator} holds what the network has not: {', '.join(found.unexpected_keys[:5])}"
        )
    return list(found.missing_keys)
