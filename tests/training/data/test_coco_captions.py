from pathlib import Path
from typing import Any

import pytest

from tests.training.caption_sets import captions_of, coco, write_json, write_pictures
from training.data.captioned import Captioned
from training.data.coco_captions import read_coco_captions
from training.data.errors import DataError

NAMES = ["b.jpg", "x/a.jpg"]


@pytest.fixture
def content() -> dict[str, list[dict[str, Any]]]:
    return coco(captions_of(NAMES))


def test_captions_go_to_the_pictures_of_their_ids(
    tmp_path: Path, content: dict[str, list[dict[str, Any]]]
) -> None:
    write_pictures(tmp_path, NAMES)
    content["annotations"].reverse()
    captioned = read_coco_captions(write_json(tmp_path / "c.json", content), tmp_path)
    assert captioned.faults == ()
    assert captioned.items == (
        Captioned(tmp_path / "b.jpg", ("b runs .", "A dog called b .")),
        Captioned(tmp_path / "x" / "a.jpg", ("x runs .", "A dog called x .")),
    )


def test_what_cannot_be_taken_is_told_of(
    tmp_path: Path, content: dict[str, list[dict[str, Any]]]
) -> None:
    write_pictures(tmp_path, NAMES)
    content["images"] += [
        {"id": 20, "file_name": "../c.jpg"},
        {"id": 21},
        {"id": 10, "file_name": "x/a.jpg"},
        {"id": "22", "file_name": "b.jpg"},
        {"id": 23, "file_name": "d.jpg"},
    ]
    content["annotations"] += [
        {"id": 90, "image_id": 20, "caption": "A"},
        {"id": 91, "image_id": 10, "caption": None},
        {"id": 92, "image_id": "22", "caption": "The same"},
    ]
    path = write_json(tmp_path / "c.json", content)
    captioned = read_coco_captions(path, tmp_path)
    assert captioned.items[0].captions == ("A dog called b .", "b runs .", "The same")
    assert len(captioned) == 2
    assert captioned.faults == (
        f"{path}: picture 20: '../c.jpg' leads out of {tmp_path}; name pictures from there on",
        f"{path}: picture 21: the picture has no name",
        f"{tmp_path / 'x' / 'a.jpg'}: has the id 10 of b.jpg",
        f"{path}: caption 90 belongs to no picture that is listed",
        f"{path}: caption 91 is no text",
        f"{tmp_path / 'd.jpg'}: there is no such picture",
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "must hold a list of entries called images"),
        ({"images": []}, "must hold a list of entries called annotations"),
        ({"images": [5], "annotations": []}, "must hold a list of entries called images"),
        ({"images": [{"file_name": "a"}], "annotations": []}, "every entry of images must have id"),
        (
            {"images": [], "annotations": [{"image_id": [1]}]},
            "every entry of annotations must have image_id",
        ),
        ({"images": [], "annotations": []}, "none of its pictures can be read$"),
        (
            {"images": [{"id": 1, "file_name": "no.jpg"}], "annotations": []},
            r"none of its .*; the first of 1 faults: .*no\.jpg: there is no such picture",
        ),
    ],
)
def test_another_json_is_refused(tmp_path: Path, broken: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"c\.json: {message}"):
        read_coco_captions(write_json(tmp_path / "c.json", broken), tmp_path)
