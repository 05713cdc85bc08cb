from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from service.contract import InputGeometry
from training.data.errors import DataError
from training.data.folders import read_folder
from training.data.labelled import whole_batch

WritePicture = Callable[..., Path]
GEOMETRY = InputGeometry(height=8, width=8, resize="shortest_side")
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
def test_a_folder_is_read_alike_from_memory_and_from_disk(
    tmp_path: Path, write_picture: WritePicture, memory_bytes: int
) -> None:
    write_picture("b/1.png", RED)
    write_picture("a/2.png", GREEN)
    write_picture("a/1.png", BLUE)
    found = read_folder(tmp_path, GEOMETRY, memory_bytes)
    assert found.train.is_in_memory == (memory_bytes > 0)
    assert found.train.classes == ("a", "b")
    assert found.train.targets.tolist() == [0, 0, 1]
    assert found.train.images.shape == (3, 8, 8, 3)
    assert found.train.images[:, 4, 4].tolist() == [list(BLUE), list(GREEN), list(RED)]
    assert (found.val, found.test, found.damaged, found.ignored) == (None, None, (), 0)


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
def test_damaged_pictures_are_left_out_and_named(
    tmp_path: Path, write_picture: WritePicture, memory_bytes: int
) -> None:
    for name, colour in (("a/1.png", RED), ("a/2.png", GREEN), ("b/1.png", BLUE)):
        write_picture(name, colour)
    broken = write_picture("a/0.png")
    broken.write_bytes(broken.read_bytes()[:60])
    (tmp_path / "b" / "notes.txt").touch()
    found = read_folder(tmp_path, GEOMETRY, memory_bytes)
    assert found.train.images[:, 4, 4].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert found.train.targets.tolist() == [0, 0, 1]
    (line,) = found.damaged
    assert line.startswith(f"{broken}: the PNG file is damaged")
    assert found.ignored == 1


def test_a_divided_folder_gives_a_set_for_each_part(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    for part, colour in (("train", RED), ("valid", GREEN), ("test", BLUE)):
        write_picture(f"{part}/a/1.png", colour)
        write_picture(f"{part}/b/1.png", colour)
    write_picture("train/b/2.png", RED)
    found = read_folder(tmp_path, GEOMETRY)
    assert found.val is not None
    assert found.test is not None
    parts = (found.train, found.val, found.test)
    for labelled, colour in zip(parts, (RED, GREEN, BLUE), strict=True):
        assert labelled.classes == ("a", "b")
        assert (labelled.images[:, 4, 4] == torch.tensor(colour)).all()
    assert [len(labelled) for labelled in parts] == [3, 2, 2]


def test_a_class_of_damaged_pictures_is_refused(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    write_picture("a/1.png")
    write_picture("b/1.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"in train no picture of b can be read; .*1\.png: not a"):
        read_folder(tmp_path, GEOMETRY)


def test_pictures_of_different_sizes_are_refused(tmp_path: Path) -> None:
    geometry = InputGeometry(height=8, width=8, resize="pad_to_multiple", multiple=4)
    with pytest.raises(DataError, match="choose another resize"):
        read_folder(tmp_path, geometry)


def test_a_worker_that_meets_a_damaged_file_names_it(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    write_picture("a/1.png")
    changed = write_picture("b/1.png")
    train = read_folder(tmp_path, GEOMETRY, memory_bytes=0).train
    changed.write_bytes(b"")
    loader = DataLoader(train, batch_size=2, num_workers=1, collate_fn=whole_batch)
    with pytest.raises(DataError, match=r"b/1\.png: the bytes are empty"):
        list(loader)
