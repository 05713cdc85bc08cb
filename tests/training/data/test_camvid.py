import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.mask_sets import write_camvid
from training.data.camvid import CLASSES, PALETTE, is_camvid, read_camvid
from training.data.errors import DataError
from training.data.masked import VOID, read_mask


def test_parts_are_read_with_classes_and_void(tmp_path: Path) -> None:
    assert not is_camvid(tmp_path)
    write_camvid(tmp_path, {"train": 3, "val": 1, "test": 2})
    assert is_camvid(tmp_path)
    parts = read_camvid(tmp_path)
    assert {part: len(masked) for part, masked in parts.items()} == {
        "train": 3,
        "val": 1,
        "test": 2,
    }
    for part, masked in parts.items():
        assert (masked.classes, masked.palette, masked.faults) == (CLASSES, PALETTE, ())
        assert masked.background is None
        assert [item.path.name for item in masked.items] == [
            f"{part}{number}.png" for number in range(len(masked))
        ]
    mask = read_mask(parts["train"].items[0], len(CLASSES))
    assert np.unique(mask).tolist() == [*range(11), VOID]
    assert (mask[:, 88:] == VOID).all()  # where the file has 11


def test_pictures_without_masks_are_left_out_and_named(tmp_path: Path) -> None:
    write_camvid(tmp_path)
    (tmp_path / "trainannot" / "train1.png").unlink()
    train = read_camvid(tmp_path)["train"]
    assert [item.path.stem for item in train.items] == ["train0", "train2"]
    assert train.faults == (f"{tmp_path / 'train' / 'train1.png'}: there is no mask for it",)


def test_names_in_capitals_are_read_and_hidden_files_are_not(tmp_path: Path) -> None:
    write_camvid(tmp_path)
    for folder in ("train", "trainannot"):
        path = tmp_path / folder / "train1.png"
        path.rename(path.with_suffix(".PNG"))
        path.with_name("._train0.png").write_bytes(b"-")
    train = read_camvid(tmp_path)["train"]
    assert [item.path.name for item in train.items] == ["train0.png", "train1.PNG", "train2.png"]
    assert train.faults == ()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    write_camvid(tmp_path)
    shutil.rmtree(tmp_path / "valannot")
    with pytest.raises(DataError, match=r"must hold CamVid in SegNet's edition.*missing: valannot"):
        read_camvid(tmp_path)
    (tmp_path / "valannot").mkdir()
    with pytest.raises(DataError, match=r"val: there is no picture with a mask; .*val0\.png"):
        read_camvid(tmp_path)
