from pathlib import Path

import pytest

from training.data import imagenet_sample as data
from training.data.errors import DataError


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.JPEG").touch()
    with pytest.raises(DataError, match="holds 1 JPEG files, not the 1000"):
        data.sample_pictures(tmp_path)


def test_pictures_come_in_the_order_of_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "SIZE", 2)
    for name in ("n02_b.JPEG", "n01_a.JPEG", "README.md"):
        (tmp_path / name).touch()
    assert [path.name for path in data.sample_pictures(tmp_path)] == ["n01_a.JPEG", "n02_b.JPEG"]
