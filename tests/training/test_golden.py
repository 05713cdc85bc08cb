import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.golden import golden_candidates, golden_pictures, write_arrays


@pytest.mark.parametrize("size", [(32, 32), (224, 260)])
def test_pictures_are_always_the_same_and_show_something(size: tuple[int, int]) -> None:
    first, second = golden_pictures(*size)
    assert first.shape == second.shape == (*size, 3)
    assert first.dtype == np.uint8
    assert (np.array([first, second]) == np.array(golden_pictures(*size))).all()
    assert min(first.std(), second.std()) > 20
    assert not np.array_equal(first, second)


def test_written_bytes_do_not_depend_on_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "main.input.x": np.arange(6).reshape(2, 3),
        "main.fp32.y": np.array([[1], [2]], np.float32),
    }
    write_arrays(tmp_path / "a.npz", arrays)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write_arrays(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as archive:
        assert {name: archive[name].tolist() for name in archive.files} == {
            name: array.tolist() for name, array in arrays.items()
        }


def test_candidates_are_many_and_all_differ() -> None:
    candidates = golden_candidates(48, 64)
    assert {(picture.shape, picture.dtype.name) for picture in candidates} == {
        ((48, 64, 3), "uint8")
    }
    assert all(picture.flags.c_contiguous for picture in candidates)
    assert len({picture.tobytes() for picture in candidates}) == len(candidates) > 50
    for picture in golden_pictures(48, 64):
        assert any(np.array_equal(picture, candidate) for candidate in candidates)
