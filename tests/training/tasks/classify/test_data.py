from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.contract import InputGeometry
from training.tasks.classify import data


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.JPEG").touch()
    with pytest.raises(data.DataError, match="holds 1 JPEG files, not the 1000"):
        data.sample_pictures(tmp_path)


def test_pictures_come_in_the_order_of_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "SAMPLE_SIZE", 2)
    for name in ("n02_b.JPEG", "n01_a.JPEG", "README.md"):
        (tmp_path / name).touch()
    assert [path.name for path in data.sample_pictures(tmp_path)] == ["n01_a.JPEG", "n02_b.JPEG"]


def test_a_picture_is_prepared_as_the_service_does(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.new("RGB", (60, 40), (200, 30, 30)).save(path, quality=95)
    geometry = InputGeometry(height=8, width=8, resize="shortest_side", crop=0.5)
    pixels = data.prepare(path, geometry)
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels.astype(int) - (200, 30, 30)).max() < 5
