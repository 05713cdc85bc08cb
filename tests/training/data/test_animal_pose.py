import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.data.animal_pose import MASK_CLASSES, fully_labelled, read_animal_pose
from training.data.boxed import BoxedSet
from training.data.errors import DataError

CATEGORIES = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
DOG, CAT, PERSON = (MASK_CLASSES.index(name) + 1 for name in ("dog", "cat", "person"))
VOID = 255


def _write(
    folder: Path, pictures: dict[str, str], annotations: list[Any], categories: Any = CATEGORIES
) -> None:
    """Pictures are 100x50 and red."""
    (folder / "images").mkdir(exist_ok=True)
    for name in pictures.values():
        Image.new("RGB", (100, 50), (200, 30, 30)).save(folder / "images" / name)
    content = {"images": pictures, "annotations": annotations, "categories": categories}
    (folder / "keypoints.json").write_text(json.dumps(content))


def _box(image: int, category: int, box: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "keypoints": [[1, 2, 1]]}


def test_boxes_are_read_with_their_classes(tmp_path: Path) -> None:
    boxes = [_box(7, 2, [10, 5, 40, 30]), _box(3, 1, [0, 0, 100, 50]), _box(7, 1, [50, 6, 60, 9])]
    _write(tmp_path, {"3": "a.jpg", "7": "b.png", "9": "c.jpg"}, boxes)
    found = read_animal_pose(tmp_path)
    assert found.classes == ("dog", "cat")
    assert [item.path.name for item in found.items] == ["a.jpg", "b.png", "c.jpg"]
    assert [(item.width, item.height) for item in found.items] == [(100, 50)] * 3
    assert [item.labels.tolist() for item in found.items] == [[0], [1, 0], []]
    assert found.items[1].boxes.tolist() == [[10, 5, 40, 30], [50, 6, 60, 9]]
    assert not found.items[1].ignored.any()
    assert found.faults == ()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (_box(1, 1, [10, 10, 10, 30]), r"a\.jpg: box 1 \(dog\) has no area"),
        (_box(1, 1, [200, 10, 210, 30]), r"a\.jpg: box 1 \(dog\) lies outside the picture"),
        (_box(1, 2, [1, 2, 3]), r"a\.jpg: box 1 \(cat\) must be four numbers.* \[1, 2, 3\]"),
        (_box(1, 2, None), r"a\.jpg: box 1 \(cat\) must be four numbers"),
        (_box(1, 2, [1, "a", 3, 4]), r"a\.jpg: box 1 \(cat\) must be four numbers"),
        ({**_box(1, 1, [1, 2, 3, 4]), "category_id": []}, r"a\.jpg: box 1 is of the category"),
        (_box(1, 9, [1, 2, 3, 4]), r"a\.jpg: box 1 is of the category 9, which is not listed"),
        (
            _box(5, 1, [1, 2, 3, 4]),
            r"keypoints\.json: box 1 belongs to the picture 5, which is not",
        ),
    ],
)
def test_a_damaged_box_is_told_and_left_out(
    tmp_path: Path, entry: dict[str, Any], reason: str
) -> None:
    _write(tmp_path, {"1": "a.jpg"}, [entry, _box(1, 1, [1, 2, 30, 40])])
    found = read_animal_pose(tmp_path)
    assert found.items[0].boxes.tolist() == [[1, 2, 30, 40]]
    (line,) = found.faults
    assert re.search(reason, line)


def test_a_damaged_picture_is_told_and_left_out_with_its_boxes(tmp_path: Path) -> None:
    _write(tmp_path, {"1": "a.jpg", "2": "b.jpg", "3": "c.jpg"}, [_box(2, 1, [1, 2, 30, 40])])
    (tmp_path / "images" / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "images" / "c.jpg").unlink()
    found = read_animal_pose(tmp_path)
    assert [item.path.name for item in found.items] == ["a.jpg"]
    assert [Path(line.split(":")[0]).name for line in found.faults] == ["b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "must hold images"),
        ('{"images": {}, "annotations": [1], "categories": []}', "must hold images"),
        ('{"images": 3, "annotations": [], "categories": []}', "must hold images"),
        ('{"images": {}, "annotations": [], "categories": [{"id": 1}]}', "must hold images"),
        ('{"images": {"1": "x.jpg"}, "annotations": [], "categories": []}', "none of its 1"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "keypoints.json").write_text(content)
    with pytest.raises(DataError, match=rf"keypoints\.json: {message}"):
        read_animal_pose(tmp_path)


def _with_masks(folder: Path, masks: dict[str, np.ndarray[Any, Any] | None]) -> BoxedSet:
    """Pictures with a dog in the left half; ``None`` for those without a mask."""
    _write(
        folder,
        {str(at): f"{name}.jpg" for at, name in enumerate(masks)},
        [_box(at, 1, [10, 0, 50, 50]) for at in range(len(masks))],
    )
    (folder / "masks").mkdir()
    for name, mask in masks.items():
        if mask is not None:
            Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return read_animal_pose(folder)


def _mask(dog: slice, other: int = 0, pixels: int = 0) -> np.ndarray[Any, Any]:
    """A dog in some columns, and pixels of another value at the right edge."""
    mask = np.zeros((50, 100), np.uint8)
    mask[10:40, dog] = DOG
    mask[:pixels, 99] = other
    return mask


def test_pictures_with_something_unlabelled_are_dropped(tmp_path: Path) -> None:
    boxed = _with_masks(
        tmp_path,
        {
            "complete": _mask(slice(12, 45)),
            "person": _mask(slice(12, 45), PERSON, 6),
            "speck": _mask(slice(12, 45), PERSON, 5),
            "void": _mask(slice(12, 45), VOID, 50),
            "cat": _mask(slice(12, 45), CAT, 40),
            "second_dog": _mask(slice(12, 45), DOG, 40),
            "a_little_wider": _mask(slice(7, 54)),
            "much_wider": _mask(slice(12, 56)),
            "much_wider_at_the_left": _mask(slice(4, 45)),
            "without_mask": None,
        },
    )
    kept = fully_labelled(boxed, tmp_path / "masks")
    assert [item.path.stem for item in kept.items] == [
        "complete",
        "speck",
        "void",
        "a_little_wider",
    ]
    assert (kept.classes, kept.faults) == (boxed.classes, ())


def test_masks_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    boxed = _with_masks(
        tmp_path,
        {
            "good": _mask(slice(12, 45)),
            "small": np.zeros((25, 50), np.uint8),
            "colours": np.zeros((50, 100, 3), np.uint8),
            "damaged": _mask(slice(12, 45)),
        },
    )
    (tmp_path / "masks" / "damaged.png").write_bytes(b"no picture")
    kept = fully_labelled(boxed, tmp_path / "masks")
    assert [item.path.stem for item in kept.items] == ["good"]
    small, colours, damaged = kept.faults
    assert small.endswith("small.png: is 50x25, but small.jpg is 100x50")
    assert colours.endswith("colours.png: holds colours, not classes")
    assert damaged.endswith("damaged.png: cannot be read as a mask")


def test_masks_of_other_pictures_are_refused(tmp_path: Path) -> None:
    boxed = _with_masks(tmp_path, {"a": None, "b": None})
    with pytest.raises(DataError, match="no mask of any of the 2 pictures"):
        fully_labelled(boxed, tmp_path / "masks")
    with pytest.raises(DataError, match="nowhere is not a folder"):
        fully_labelled(boxed, tmp_path / "nowhere")
