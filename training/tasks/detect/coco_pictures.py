"""Pictures that a published COCO detector is measured on and calibrated with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.contract import DataSource
from service.session import Arrays, Session
from training import faults
from training.data.box_folders import read_boxes
from training.data.box_pictures import BoxPictures
from training.data.boxed import BoxedSet
from training.data.errors import DataError
from training.exportable import Score
from training.tasks.detect.predict import item
from training.tasks.detect.publish import Precision

Report = Callable[[str], None]

#: Overlap at which torchvision suppresses, and with which the published precision was taken.
IOU = 0.5
_CHECKED, _CALIBRATED = 20, 100


@dataclass(frozen=True, slots=True)
class Measured:
    """Pictures of a folder.

    Attributes:
        pictures: to measure on.
        part: of the folder that they are.
        calibrating: others, that show the 8-bit variant what values to expect.
        dataset: the folder's name.
    """

    pictures: BoxPictures
    part: str
    calibrating: BoxPictures
    dataset: str

    @property
    def calibration(self) -> list[Arrays]:
        """The pictures to calibrate with, as a graph takes them."""
        return _items(self.calibrating, len(self.calibrating))

    @property
    def checked(self) -> list[Arrays]:
        """Pictures to compare PyTorch and ONNX Runtime on, likewise."""
        return _items(self.pictures, _CHECKED)

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """For the manifest."""
        return (DataSource(name=f"{self.dataset} (pictures of the user)", licence="unknown"),)

    @property
    def described(self) -> str:
        """For the card."""
        return (
            f"Measured on {len(self.pictures)} pictures of {self.dataset} ({self.part}); the 8-bit "
            f"variant is calibrated on {len(self.calibrating)} others."
        )

    def evaluate(self, sessions: Mapping[str, Session]) -> Sequence[Score]:
        """Mean average precision of one variant."""
        return Precision(self.pictures, self.dataset, IOU, self.part)(sessions)


def gather(
    folder: Path,
    labels: Sequence[str],
    size: int,
    pad_value: int,
    report: Report = lambda _: None,
) -> Measured:
    """Choose from a folder of pictures with boxes.

    What is measured on is its val, else its test, else its train. The 8-bit variant is calibrated
    on train; where that is measured on or missing, on some pictures that are not measured on then.

    Args:
        folder: in a form that ``training.data.box_folders`` reads.
        labels: COCO's; objects of other names are left out.
        size: of the square that pictures are fitted into, a side, in pixels.
        pad_value: of the pixels beside a picture.
        report: told of what is left out.

    Raises:
        DataError: the folder cannot be read, or has no object of these names or too few pictures.
    """
    parts = read_boxes(folder)
    part = next(name for name in ("val", "test", "train") if name in parts)
    strangers = sorted(set(parts[part].classes) - set(labels))
    if strangers:
        report(f"not among COCO's classes and left out: {', '.join(strangers)}")
    measured = parts[part].restricted_to(labels)
    if part != "train" and "train" in parts:
        calibrating = _divide(parts["train"].restricted_to(labels), 1)[1]
    else:
        measured, calibrating = _divide(measured, 2)
    pictures, others = (BoxPictures(one, size, pad_value) for one in (measured, calibrating))
    if not pictures.boxed.counts.any() or not len(others):
        raise DataError(
            f"{folder}: there must be a picture to calibrate with and others to measure on, with "
            f"objects that are called as COCO calls them, such as {', '.join(labels[:3])}"
        )
    faults.tell(list(dict.fromkeys((*pictures.boxed.faults, *others.boxed.faults))), report)
    return Measured(pictures, part, others, folder.resolve().name)


def _divide(boxed: BoxedSet, least: int) -> tuple[BoxedSet, BoxedSet]:
    """Take out what calibration needs, evenly spread; one of ``least`` pictures at most."""
    step = max(least, -(-len(boxed) // _CALIBRATED))
    taken = range(0, len(boxed), step)
    rest = [index for index in range(len(boxed)) if index not in taken]
    return boxed.subset(rest), boxed.subset(taken)


def _items(pictures: BoxPictures, count: int) -> list[Arrays]:
    """So many of the pictures, or all if they are fewer, evenly spread."""
    step = -(-len(pictures) // count)
    return [{"images": item(pictures, at)} for at in range(0, len(pictures), step)]
