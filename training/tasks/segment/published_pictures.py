"""Pictures that a published segmentation network is measured on and calibrated with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.contract import DataSource, InputGeometry
from service.session import Arrays
from training import faults
from training.data.errors import DataError
from training.data.listing import is_hidden
from training.data.mask_pictures import MaskPictures
from training.data.order import evenly
from training.data.pictures import SUFFIXES, prepare
from training.data.voc_masks import gather_voc_masks, held_out_voc
from training.tasks.segment.predict import item
from training.tasks.segment.publish import MeanIou

Report = Callable[[str], None]

_CHECKED, _CALIBRATED = 20, 100


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures of the user's folders.

    Attributes:
        measured: to measure on; ``None`` if there are none.
        calibration: others, that show the 8-bit variant what values to expect, as a graph takes
            them.
        sources: for the manifest.
    """

    measured: MaskPictures | None
    calibration: Sequence[Arrays]
    sources: tuple[DataSource, ...]

    @property
    def checked(self) -> list[Arrays]:
        """Pictures to compare PyTorch and ONNX Runtime on, as a graph takes them."""
        if self.measured is None:
            return []
        return [{"images": item(self.measured, at)} for at in evenly(len(self.measured), _CHECKED)]

    @property
    def evaluate(self) -> MeanIou | None:
        """Measures a variant, if there is what to measure on."""
        return None if self.measured is None else MeanIou(self.measured, "VOC2012")

    @property
    def described(self) -> str:
        """For the card."""
        told = []
        if self.measured is not None:
            told.append(f"Measured on {len(self.measured)} pictures of PASCAL VOC.")
        if self.calibration:
            told.append(f"The 8-bit variant is calibrated on {len(self.calibration)} others.")
        return " ".join(told)


def gather(
    data: Path | None,
    pictures: Path | None,
    geometry: InputGeometry,
    report: Report = lambda _: None,
    *,
    calibrate: bool = True,
) -> Shown:
    """Choose the pictures to measure on and to calibrate with.

    Args:
        data: a copy of PASCAL VOC. Measured are 200 of its pictures, see ``held_out_voc``.
        pictures: a folder of pictures to calibrate with; left out, those of ``data`` that are not
            measured on.
        geometry: of the network's input.
        report: told of what is left out.
        calibrate: whether there are to be pictures to calibrate with.

    Raises:
        DataError: a folder cannot be read, or has not what it should have.
    """
    measured, paths, sources = None, list[Path](), list[DataSource]()
    if data is not None:
        rest, held_out = held_out_voc(gather_voc_masks(data))
        measured = MaskPictures(
            held_out, geometry.height, geometry.width, geometry.pad_value, threads=None
        )
        faults.tell([*rest.faults, *measured.masked.faults], report)
        paths = [one.path for one in rest.items]
        sources.append(_source(data))
    if pictures is not None:
        paths = _files(pictures)
        sources.append(_source(pictures))
    chosen = [paths[at] for at in evenly(len(paths), _CALIBRATED) if calibrate]
    calibration = [{"images": prepare(path, geometry)} for path in chosen]
    return Shown(measured, calibration, tuple(sources))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not is_hidden(path)
    )
    if not found:
        raise DataError(f"{folder} holds no picture ({', '.join(SUFFIXES)})")
    return found


def _source(folder: Path) -> DataSource:
    return DataSource(name=f"{folder.resolve().name} (pictures of the user)", licence="unknown")
