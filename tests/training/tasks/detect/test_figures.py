from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from training.data.boxed import Boxed, BoxedSet
from training.data.errors import DataError
from training.tasks.detect.figures import precision_recall, worst
from training.tasks.detect.metrics import Detections, Quality, measure

CLASSES = ("cat", "dog", "fish")


def _quality(classes: int, objects: ArrayLike, precisions: ArrayLike = 0.5) -> Quality:
    recalls = np.linspace(0, 1, 101)
    return Quality(
        classes=tuple(f"class_{number} $%" for number in range(classes)),
        pictures=3,
        objects=np.broadcast_to(np.array(objects, np.int64), classes),
        map=0.5,
        map50=0.5,
        map75=0.5,
        map_interval=(np.nan, np.nan),
        map50_interval=(0.25, 0.75),
        average_precision=np.full(classes, 0.5),
        average_precision50=np.full(classes, 0.5),
        recalls=recalls,
        precisions=np.broadcast_to(np.array(precisions, np.float64), (classes, 101)),
        thresholds=np.full((classes, 101), 0.5),
    )


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _drawn(quality: Quality, folder: Path) -> NDArray[np.uint8]:
    precision_recall(quality, folder / "curves.png")
    assert [path.name for path in folder.iterdir()] == ["curves.png"]
    return _pixels(folder / "curves.png")


def test_each_class_with_objects_has_a_curve(tmp_path: Path) -> None:
    one, two, none = (_drawn(_quality(2, objects), tmp_path) for objects in ([5, 0], [5, 5], 0))
    assert one.shape == two.shape == none.shape
    assert len(np.unique(none.reshape(-1, 3), axis=0)) < len(np.unique(one.reshape(-1, 3), axis=0))
    assert not np.array_equal(one, two)


def test_a_curve_shows_the_precision(tmp_path: Path) -> None:
    low, high = (_drawn(_quality(1, 5, precision), tmp_path) for precision in (0.1, 0.9))
    blue = (31, 119, 180)
    heights = [
        np.median(np.argwhere((picture == blue).all(axis=-1))[:, 0]) for picture in (low, high)
    ]
    assert heights[0] - heights[1] > low.shape[0] / 2


def test_twenty_classes_fit(tmp_path: Path) -> None:
    assert _drawn(_quality(20, 5), tmp_path).shape == _drawn(_quality(3, 5), tmp_path).shape


@pytest.fixture
def truths(tmp_path: Path) -> BoxedSet:
    """Five grey pictures with a cat at the left and a dog, not to be counted, at the right."""
    items = []
    for number in range(5):
        path = tmp_path / f"p{number}.png"
        Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
        boxes = np.array([[20, 20, 80, 80], [120, 20, 180, 80]], np.float32)
        items.append(
            Boxed(path, 200, 100, boxes, np.array([0, 1]), np.array([False, True], np.bool_))
        )
    return BoxedSet(CLASSES, tuple(items))


def _found(*rows: tuple[ArrayLike, float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for _, _, label in rows], np.int64),
    )


RIGHT = ([20, 20, 80, 80], 0.9, 0)
FALSE = ([100, 40, 150, 90], 0.8, 2)


def _colours(path: Path) -> tuple[int, int]:
    """How many pixels are green, and how many red."""
    red, green, blue = (_pixels(path)[..., channel].astype(int) for channel in range(3))
    return int(((green - red > 90) & (green - blue > 90)).sum()), int((red - green > 90).sum())


def test_the_worst_are_shown_and_no_more_than_asked_for(tmp_path: Path, truths: BoxedSet) -> None:
    predictions = [_found(RIGHT), _found(FALSE), _found(), _found(RIGHT, FALSE), _found(RIGHT)]
    sizes = []
    for pictures in (1, 2, 3, 12):
        worst(predictions, truths, tmp_path / "worst.png", pictures)
        sizes.append(_pixels(tmp_path / "worst.png").shape)
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]
    assert sizes[3] == sizes[2]  # two pictures are as they should be
    assert sorted(path.name for path in tmp_path.glob("*worst*")) == ["worst.png"]


def test_the_worst_comes_first(tmp_path: Path, truths: BoxedSet) -> None:
    predictions = [_found(RIGHT)] * 3 + [_found(RIGHT, FALSE), _found()]
    path = tmp_path / "worst.png"
    worst(predictions, truths, path, pictures=1)
    green, red = _colours(path)
    assert green > 0  # the missed cat, not the false alarm
    assert red == 0
    worst(predictions, truths, path, pictures=2)
    assert _colours(path)[1] > 0


def test_detections_below_the_threshold_are_not_drawn(tmp_path: Path, truths: BoxedSet) -> None:
    weak = ([100, 40, 150, 90], 0.3, 2)
    path = tmp_path / "worst.png"
    worst([_found(weak)] * 5, truths, path, pictures=1)
    assert _colours(path)[1] == 0
    worst([_found(weak)] * 5, truths, path, pictures=1, threshold=0.2)
    assert _colours(path)[1] > 0


def test_nothing_is_drawn_of_nothing(tmp_path: Path, truths: BoxedSet) -> None:
    worst([_found(RIGHT)] * 5, truths, tmp_path / "worst.png")
    assert not (tmp_path / "worst.png").exists()


def test_a_picture_that_is_gone_is_named_and_the_last_sheet_stays(
    tmp_path: Path, truths: BoxedSet
) -> None:
    path = tmp_path / "worst.png"
    path.write_bytes(b"before")
    truths.items[0].path.unlink()
    with pytest.raises(DataError, match=r"p0\.png"):
        worst([_found()] * 5, truths, path)
    assert path.read_bytes() == b"before"


def test_what_is_measured_can_be_drawn(tmp_path: Path, truths: BoxedSet) -> None:
    predictions = [_found(RIGHT, FALSE)] * 4 + [_found()]
    precision_recall(measure(predictions, truths, resamples=0), tmp_path / "curves.png")
    assert _pixels(tmp_path / "curves.png").size > 0
