"""The pictures a classifier is trained, chosen and measured on."""

from collections.abc import Callable
from dataclasses import dataclass

from service.contract import DataSource, InputGeometry
from training.data import benchmarks
from training.data.errors import DataError
from training.data.folders import FolderData, read_folder
from training.data.labelled import Labelled, split
from training.files import cache_folder
from training.nets import architectures
from training.published import Published
from training.tasks.classify import digits
from training.tasks.classify.config import Classify

Report = Callable[[str], None]

#: The parts of a set are the same for every training, so that trainings can be compared.
_SPLIT_SEED = 0
_MIB = 1 << 20
#: Side of pictures, in pixels, up to which a network made for larger ones is adapted.
_SMALL = 64


@dataclass(frozen=True, slots=True)
class Gathered:
    """A data set made ready for one configuration.

    Attributes:
        train: to learn from; larger than ``size`` where training takes crops.
        held_out: to choose the best epoch by.
        test: to measure on, once.
        size: side of what the network takes, in pixels.
        channels: of what the network takes.
        small_images: whether networks are to be adapted to small pictures.
        geometry: how the service makes a picture into the graph's input.
        dataset: its name, in figures.
        source: for the manifest.
    """

    train: Labelled
    held_out: Labelled
    test: Labelled
    size: int
    channels: int
    small_images: bool
    geometry: InputGeometry
    dataset: str
    source: DataSource


def gather(config: Classify, published: Published, report: Report = lambda _: None) -> Gathered:
    """Fetch or read the pictures a configuration names and divide them.

    Args:
        config: names the data set.
        published: how the pictures of the weights, or of the network, are prepared.
        report: told of each step and of every picture that is left out.

    Raises:
        DataError: the set cannot be had or is not what it should be.
    """
    if config.dataset == "folder":
        return _folder(config, published, report)
    report(f"reading {config.dataset}")
    train, test = benchmarks.load(config.dataset, config.data, config.downloads)
    geometry = _square(train.shape[0])
    if config.reads_digits:
        report("framing the digits as the graph does")
        train, test = (digits.framed(each, cache_folder()) for each in (train, test))
        geometry = digits.GEOMETRY
    train, held_out = split(train, config.held_out, _SPLIT_SEED)
    height, _, channels = train.shape
    return Gathered(
        train=train,
        held_out=held_out,
        test=test,
        size=height,
        channels=channels,
        small_images=True,
        geometry=geometry,
        dataset=config.dataset,
        source=benchmarks.BENCHMARKS[config.dataset].source,
    )


def _folder(config: Classify, published: Published, report: Report) -> Gathered:
    if config.data is None:
        raise DataError("name the folder of pictures with --data DIR, one folder in it per class")
    size = config.size or published.size
    geometry = InputGeometry(
        height=size,
        width=size,
        resize="shortest_side",
        crop=published.crop,
        interpolation=published.interpolation,
    )
    memory = config.memory_mib * _MIB
    report(f"reading {config.data}")
    found = read_folder(config.data, geometry, memory)
    for line in found.damaged:
        report(f"left out {line}")
    learned = found
    if config.augmentation.needs_margin:  # crops are taken from somewhat larger, whole pictures
        side = round(size / published.crop)
        margin = geometry.model_copy(update={"height": side, "width": side, "crop": 1.0})
        learned = read_folder(config.data, margin, memory)
    name = config.data.resolve().name
    train, _, _ = _parts(learned, config)
    _, held_out, test = _parts(found, config)
    return Gathered(
        train=train,
        held_out=held_out,
        test=test,
        size=size,
        channels=3,
        small_images=_adapts(config, published, size),
        geometry=geometry,
        dataset=name,
        source=DataSource(name=f"{name} (pictures of the user)", licence="unknown"),
    )


def _parts(found: FolderData, config: Classify) -> tuple[Labelled, Labelled, Labelled]:
    """Training, held-out and test pictures; what the folder does not divide is divided here."""
    train, val, test = found.train, found.val, found.test
    if test is None:
        train, test = split(train, config.test, _SPLIT_SEED)
    if val is None:
        train, val = split(train, config.held_out, _SPLIT_SEED)
    return train, val, test


def _adapts(config: Classify, published: Published, size: int) -> bool:
    """Whether a network is to be adapted to small pictures; published weights would not fit."""
    can = architectures.find(published.architecture).small
    return can and config.weights is None and size <= _SMALL


def _square(side: int) -> InputGeometry:
    return InputGeometry(height=side, width=side, resize="shortest_side")
