import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.data.boxed import BoxedSet
from training.data.errors import DataError
from training.tasks.detect.everyday import CLASSES, FROM_COCO, gather_everyday

DOG = CLASSES.index("dog") + 1
LISTS = {"train": ["v1", "v2"], "val": ["v3"], "test": ["v4"]}


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (200, 30, 30)).save(path)


def _write_voc(folder: Path, lists: dict[str, list[str]]) -> None:
    """Each picture shows a person."""
    (folder / "Annotations").mkdir(parents=True)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for part, names in lists.items():
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names))
        for name in names:
            _picture(folder / "images" / f"{name}.jpg")
            (folder / "Annotations" / f"{name}.xml").write_text(
                "<annotation><object><name>person</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
                "<xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>"
            )


def _write_coco(folder: Path, part: str, pictures: dict[str, list[str]]) -> None:
    """Pictures by name, each with objects of these classes."""
    names = sorted({name for objects in pictures.values() for name in objects})
    annotations: list[dict[str, Any]] = []
    for at, (picture, objects) in enumerate(pictures.items()):
        _picture(folder / part / f"{picture}.jpg")
        annotations += [
            {"image_id": at, "category_id": names.index(name), "bbox": [1, 2, 10, 10 + number]}
            for number, name in enumerate(objects)
        ]
    content = {
        "images": [{"id": at, "file_name": f"{name}.jpg"} for at, name in enumerate(pictures)],
        "annotations": [{"id": at, **made} for at, made in enumerate(annotations)],
        "categories": [{"id": at, "name": name} for at, name in enumerate(names)],
    }
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))


def _write_animals(folder: Path, masks: Path, pictures: dict[str, int]) -> None:
    """Each picture shows a dog or a cat (1 or 2), and its mask a dog where it has one."""
    masks.mkdir(parents=True)
    for name in pictures:
        _picture(folder / "images" / f"{name}.jpg")
        mask = np.zeros((30, 40), np.uint8)
        mask[5:15, 5:15] = DOG
        Image.fromarray(mask).save(masks / f"{name}.png")
    content = {
        "images": {str(at): f"{name}.jpg" for at, name in enumerate(pictures)},
        "annotations": [
            {"image_id": at, "bbox": [4, 4, 20, 20], "category_id": category}
            for at, category in enumerate(pictures.values())
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }
    (folder / "keypoints.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _write_voc(tmp_path / "voc" / "VOC2012", LISTS)
    first, second = tmp_path / "coco" / "first", tmp_path / "coco" / "second" / "within"
    second.mkdir(parents=True)
    first.mkdir()
    _write_coco(first, "train2017", {"c1": ["tv", "dog"], "c2": ["zebra"], "c3": ["person"]})
    _write_coco(first, "val2017", {"c1": ["tv", "dog"], "v4": ["dog"], "c4": ["couch", "zebra"]})
    _write_coco(second, "train2017", {"c5": ["dog"], "c3": ["person"], "v3": ["dog"]})
    (tmp_path / "coco" / "other").mkdir()
    dogs = {f"d{number}": 1 for number in range(6)}
    _write_animals(
        tmp_path / "animals", tmp_path / "masks" / "all", dogs | {"cat": 2, "v2": 1, "v4": 1}
    )
    return tmp_path


def _stems(boxed: BoxedSet) -> list[str]:
    return [item.path.stem for item in boxed.items]


def test_every_source_gives_what_is_its_own(folder: Path) -> None:
    found = gather_everyday(folder)
    assert {name: _stems(boxed) for name, boxed in found.sources.items()} == {
        "VOC": ["v1", "v2"],
        "COCO": ["c1", "c3", "c4", "c5"],  # c2 shows none of the classes
        "Animal-Pose": ["d0", "d1", "d2", "d3", "d4", "d5"],  # a dog in cat's mask has no box
    }
    assert _stems(found.train) == [s for boxed in found.sources.values() for s in _stems(boxed)]
    assert (_stems(found.val), _stems(found.test)) == (["v3"], ["v4"])


def test_classes_are_called_as_in_voc(folder: Path) -> None:
    found = gather_everyday(folder)
    for boxed in (found.train, found.val, found.test, *found.sources.values()):
        assert boxed.classes == CLASSES
    counts = {
        name: {CLASSES[at]: int(boxed.counts[at]) for at in np.flatnonzero(boxed.counts)}
        for name, boxed in found.sources.items()
    }
    assert counts == {
        "VOC": {"person": 2},
        "COCO": {"dog": 2, "person": 1, "sofa": 1, "tvmonitor": 1},
        "Animal-Pose": {"dog": 6},
    }
    assert set(FROM_COCO.values()) <= set(CLASSES)


def test_animals_are_as_many_as_asked_for_and_always_the_same(folder: Path) -> None:
    first, again, other = (
        _stems(gather_everyday(folder, animals=3, seed=seed).sources["Animal-Pose"])
        for seed in (0, 0, 1)
    )
    assert len(first) == 3
    assert first == again == sorted(first)
    assert other != first


def test_voc_alone_will_do_and_animals_need_masks(folder: Path) -> None:
    (folder / "masks").rename(folder / "elsewhere")
    (folder / "coco").rename(folder / "elsewhere" / "coco")
    found = gather_everyday(folder)
    assert list(found.sources) == ["VOC"]
    assert _stems(found.train) == ["v1", "v2"]


def test_a_picture_of_two_lists_of_voc_is_held_out(tmp_path: Path) -> None:
    _write_voc(tmp_path / "voc", LISTS)
    (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").write_text("v1\nv2\nv4\nv3\n")
    assert _stems(gather_everyday(tmp_path).train) == ["v1", "v2"]


def test_faults_of_every_source_are_told(folder: Path) -> None:
    (folder / "animals" / "images" / "d0.jpg").write_bytes(b"no picture")
    (folder / "coco" / "first" / "train2017" / "c1.jpg").write_bytes(b"no picture")
    found = gather_everyday(folder)
    assert {Path(line.split(":")[0]).name for line in found.train.faults} == {"d0.jpg", "c1.jpg"}
    assert {"d0"}.isdisjoint(_stems(found.train))


def test_what_is_not_as_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="voc is not a folder"):
        gather_everyday(tmp_path)
    _write_voc(tmp_path / "voc", {"train": ["v1"], "val": ["v2"]})
    with pytest.raises(DataError, match="voc has no list for test"):
        gather_everyday(tmp_path)
    _write_voc(tmp_path / "all" / "voc", LISTS)
    (tmp_path / "all" / "masks").mkdir()
    (tmp_path / "all" / "animals").mkdir()
    with pytest.raises(DataError, match=r"animals holds no keypoints\.json"):
        gather_everyday(tmp_path / "all")
