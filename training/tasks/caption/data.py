"""The pictures and captions a captioner is trained, chosen and measured on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.contract import DataSource, InputGeometry
from training.data import feature_cache
from training.data.caption_examples import CachedFeatures, CaptionExamples, Inputs, PictureViews
from training.data.caption_folders import open_captions
from training.data.captioned import CaptionedSet, sound
from training.data.errors import DataError
from training.data.vocabulary import Vocabulary
from training.nets.captioning.backbones import Begun, places
from training.nets.pixels import Pixels
from training.tasks.caption.config import Caption

Report = Callable[[str], None]

_SPLIT_SEED = 0
_FLICKR8K = DataSource(
    name="Flickr8k",
    licence="for research and education; pictures belong to users of Flickr",
    url="https://doi.org/10.1613/jair.3994",
)
_TENTHS = 10


@dataclass(frozen=True, slots=True)
class Gathered:
    """A data set made ready for one configuration.

    Attributes:
        train: to learn from, varied.
        held_out: to choose the best epoch by.
        test: to measure on, once.
        vocabulary: of the captions to learn from.
        geometry: of the network's input.
        dataset: its name, in figures.
        sources: for the manifest.
        faults: a line for every picture or caption left out.
    """

    train: CaptionExamples
    held_out: CaptionExamples
    test: CaptionExamples
    vocabulary: Vocabulary
    geometry: InputGeometry
    dataset: str
    sources: tuple[DataSource, ...]
    faults: tuple[str, ...]


def gather(
    config: Caption, begun: Begun, pixels: Pixels, report: Report = lambda _: None
) -> Gathered:
    """Read the captions a configuration names, divide them, and see the pictures.

    Args:
        config: names the folder.
        begun: the backbone, which computes features unless it is trained too.
        pixels: how its pixels are normalised.
        report: told of each step.

    Raises:
        DataError: the set cannot be had or is not what it should be, or there is no room for the
            features.
    """
    if config.data is None:
        raise DataError(
            "name the folder of pictures and captions with --data DIR: pictures and captions.csv "
            "(image,caption), or a copy of Flickr8k or COCO"
        )
    report(f"reading {config.data}")
    opened = open_captions(config.data, config.held_out, config.test, _SPLIT_SEED)
    parts = [sound(part) for part in (opened.train, opened.held_out, opened.test)]
    for name, part in zip(("to learn from", "held out", "to test"), parts, strict=True):
        if not len(part):
            raise DataError(f"no picture {name} can be read; the first fault: {part.faults[0]}")
    vocabulary = Vocabulary.of(parts[0].captions, config.min_count)
    geometry = InputGeometry(
        height=config.height,
        width=config.width,
        resize="squash",
        interpolation=begun.backbone.architecture.interpolation,
    )
    inputs = _inputs(config, begun, pixels, geometry, parts, report)
    examples = [
        CaptionExamples(
            part,
            of_part,
            vocabulary,
            geometry,
            longest=config.longest,
            captions=config.captions,
            seed=config.training.seed,
        )
        for part, of_part in zip(parts, inputs, strict=True)
    ]
    dataset, source = _named(config, config.data, opened.form)
    return Gathered(
        train=examples[0],
        held_out=examples[1],
        test=examples[2],
        vocabulary=vocabulary,
        geometry=geometry,
        dataset=dataset,
        sources=(source,),
        faults=tuple(line for part in parts for line in part.faults),
    )


def _named(config: Caption, data: Path, form: str) -> tuple[str, DataSource]:
    if form == "flickr8k":
        return "Flickr8k", _FLICKR8K
    name, home = data.resolve().name, config.data_url
    told = name if home else f"{name} (pictures of the user)"
    return name, DataSource(name=told, licence=config.data_licence, url=home)


def _inputs(
    config: Caption,
    begun: Begun,
    pixels: Pixels,
    geometry: InputGeometry,
    parts: list[CaptionedSet],
    report: Report,
) -> list[Inputs]:
    """What the network is given: pictures if its backbone is trained, features if it is not."""
    of_parts = [[item.path for item in part.items] for part in parts]
    if config.tuned_stages:
        return [PictureViews(paths, geometry) for paths in of_parts]
    folder = config.features or config.run / "features"
    inputs: list[Inputs] = []
    for number, paths in enumerate(of_parts):
        views = config.views if number == 0 else 1  # others are only seen as they are
        key = feature_cache.key_of(config.backbone, begun.sha256, geometry, views, paths)
        features = feature_cache.compute(
            lambda images: places(begun.backbone(pixels(images))),
            paths,
            geometry,
            views,
            folder,
            key,
            _told(report, f"features of {len(paths)} pictures in {views} views"),
        )
        inputs.append(CachedFeatures(features))
    return inputs


def _told(report: Report, what: str) -> Callable[[int, int], None]:
    """Tells every tenth of the way."""
    told = -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done * _TENTHS // total > told:
            told = done * _TENTHS // total
            report(f"{what}: {done / total:.0%}")

    return tell
