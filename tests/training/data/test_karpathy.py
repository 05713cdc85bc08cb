from pathlib import Path
from typing import Any

import pytest

from tests.training.caption_sets import captions_of, karpathy, write_json, write_pictures
from training.data.captioned import Captioned
from training.data.errors import DataError
from training.data.karpathy import find_karpathy, read_karpathy

SPLITS = {"a.jpg": "train", "b.jpg": "val", "c.jpg": "test", "d.jpg": "restval"}


def test_pictures_are_divided_by_their_splits(tmp_path: Path) -> None:
    assert find_karpathy(tmp_path) is None
    write_pictures(tmp_path / "Images", [*SPLITS])
    write_json(tmp_path / "dataset_infos.json", {})
    path = write_json(tmp_path / "dataset_flickr8k.json", karpathy(captions_of([*SPLITS]), SPLITS))
    assert find_karpathy(tmp_path) == path
    parts = read_karpathy(path, [tmp_path, tmp_path / "Images"])
    found = {part: [item.path.name for item in each.items] for part, each in parts.items()}
    assert found == {"train": ["a.jpg", "d.jpg"], "val": ["b.jpg"], "test": ["c.jpg"]}
    assert parts["val"].items == (
        Captioned(tmp_path / "Images" / "b.jpg", ("A dog called b .", "b runs .")),
    )
    write_json(tmp_path / "dataset_coco.json", {})
    with pytest.raises(DataError, match=r"one of dataset_flickr8k\.json, dataset_coco\.json"):
        find_karpathy(tmp_path)


@pytest.mark.parametrize("below", ["val2014", ""])
def test_pictures_may_lie_in_the_folders_that_are_named(tmp_path: Path, below: str) -> None:
    write_pictures(tmp_path / below, ["a.jpg"])
    content = karpathy(captions_of(["a.jpg"]), SPLITS)
    content["images"][0]["filepath"] = "val2014"
    parts = read_karpathy(write_json(tmp_path / "d.json", content), [tmp_path])
    assert [item.path for item in parts["train"].items] == [tmp_path / below / "a.jpg"]


def test_what_cannot_be_taken_is_told_of(tmp_path: Path) -> None:
    write_pictures(tmp_path, [*SPLITS])
    content = karpathy(captions_of([*SPLITS]), SPLITS)
    content["images"][1]["filename"] = "../b.jpg"
    del content["images"][2]["sentences"]
    content["images"][3]["sentences"][1] = {"tokens": ["a"]}
    path = write_json(tmp_path / "d.json", content)
    parts = read_karpathy(path, [tmp_path])
    assert list(parts) == ["train"]
    assert parts["train"].faults == (
        f"{path}: picture 1: '../b.jpg' leads out of {tmp_path}; name pictures from there on",
        f"{path}: picture 2: must have a list of sentences",
        f"{path}: picture 3: every sentence must have its text, called raw",
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "must hold a list of entries called images"),
        ({"images": ["a"]}, "must hold a list of entries called images"),
        ({"images": []}, "has no pictures whose split is train$"),
        ({"images": [{"split": "train"}]}, "has no .* train; the first of 1 faults: .* name"),
        ({"images": [{"split": "new"}]}, "picture 0: the split 'new' is none of train, val"),
    ],
)
def test_another_json_is_refused(tmp_path: Path, broken: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"d\.json: {message}"):
        read_karpathy(write_json(tmp_path / "d.json", broken), [tmp_path])
