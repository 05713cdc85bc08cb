from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.curves import plot

_LINES: list[dict[str, Any]] = [
    {"step": 1, "epoch": 1, "split": "train", "loss": 2.0, "lr": 0.1},
    {"step": 1, "epoch": 1, "split": "held_out", "loss": 2.5, "top1": 0.5},
    {"step": 2, "epoch": 2, "split": "train", "loss": None, "lr": 0.1},
    {"step": 3, "epoch": 3, "split": "train", "loss": 1.0, "lr": 0.05},
]


def _size(history: list[dict[str, Any]], path: Path, title: str = "a run") -> tuple[int, int]:
    plot(history, path, title)
    with Image.open(path) as picture:
        return picture.size


def test_there_is_a_panel_for_each_figure(tmp_path: Path) -> None:
    one = _size([{"step": 1, "split": "train", "loss": 1.0}], tmp_path / "1.png")
    three = _size(_LINES, tmp_path / "3.png")
    four = _size([*_LINES, {"step": 3, "split": "train", "more": 1.0}], tmp_path / "4.png")
    assert three[0] == pytest.approx(3 * one[0], abs=3)
    assert three[1] == one[1]
    assert four == (three[0], 2 * three[1])


def test_lines_are_drawn(tmp_path: Path) -> None:
    plot(_LINES, tmp_path / "lines.png", "same")
    plot([{**line, "loss": 1.5} for line in _LINES], tmp_path / "flat.png", "same")
    assert (tmp_path / "lines.png").read_bytes() != (tmp_path / "flat.png").read_bytes()


@pytest.mark.parametrize("title", ["a $run of _", "50%^{", "[red]"])
def test_any_name_will_do(tmp_path: Path, title: str) -> None:
    assert _size([{**_LINES[0], title: 1.0}], tmp_path / "curves.png", title) > (0, 0)


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    plot([], tmp_path / "curves.png", "empty")
    assert not (tmp_path / "curves.png").exists()
