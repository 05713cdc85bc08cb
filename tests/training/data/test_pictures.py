import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.contract import InputGeometry
from service.images import Limits, decode
from service.resize import fit
from training.data.errors import DataError
from training.data.labelled import Labelled
from training.data.pictures import PictureFiles, examine, prepare

WritePicture = Callable[..., Path]
GEOMETRY = InputGeometry(height=8, width=12, resize="squash")
RED, GREEN = (200, 30, 30), (30, 200, 30)


def test_a_picture_is_prepared_as_the_service_does(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    expected = fit(decode(path.read_bytes(), Limits()), GEOMETRY)[0]
    assert np.array_equal(prepare(path, GEOMETRY), expected)


def test_files_are_decoded_in_the_order_asked_for(write_picture: WritePicture) -> None:
    files = PictureFiles([write_picture("a.png", RED), write_picture("b.png", GREEN)], GEOMETRY)
    assert files.shape == (2, 8, 12, 3)
    assert files.bytes == 2 * 8 * 12 * 3
    pictures = pickle.loads(pickle.dumps(files))[torch.tensor([1, 0, 1])]
    assert pictures.dtype == torch.uint8
    assert pictures.shape == (3, 8, 12, 3)
    assert pictures[:, 4, 6].tolist() == [list(GREEN), list(RED), list(GREEN)]


def test_a_picture_that_fails_later_is_named(write_picture: WritePicture) -> None:
    paths = [write_picture("a.png"), write_picture("b.png")]
    labelled = Labelled(PictureFiles(paths, GEOMETRY), torch.tensor([0, 1]), "ab")
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    with pytest.raises(DataError, match=r"b\.png: the PNG file is damaged"):
        labelled.__getitems__([0, 1])
    paths[1].unlink()
    with pytest.raises(DataError, match=r"b\.png: cannot be read \(No such file"):
        labelled.__getitems__([1])


@pytest.mark.parametrize("keep", [False, True])
def test_every_file_is_examined(
    tmp_path: Path, write_picture: WritePicture, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.pictures._CHUNK", 2)
    paths = [write_picture(f"{index}.jpg") for index in range(5)]
    paths[1].write_bytes(b"<html>")
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) - 20])
    pictures = np.zeros((5, 8, 12, 3), np.uint8) if keep else None
    reported: list[tuple[int, int]] = []
    faults = examine(paths, GEOMETRY, pictures, lambda *done: reported.append(done))
    assert list(faults) == [1, 3]
    assert faults[1].startswith(f"{paths[1]}: not a JPEG")
    assert faults[3].startswith(f"{paths[3]}: the JPEG file is damaged or incomplete")
    assert reported == [(2, 5), (4, 5), (5, 5)]
    if pictures is not None:
        assert [bool(picture.any()) for picture in pictures] == [True, False, True, False, True]
