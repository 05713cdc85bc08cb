from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry
from tests.training.style_sets import write_pictures
from training.cli import main
from training.data.pictures import prepare
from training.tasks.stylize.gatys import Gatys


def _arguments(photographs: Path, paintings: Path, *others: str) -> list[str]:
    pictures = ["--content", str(photographs / "000.png"), "--style", str(paintings / "001.png")]
    return ["gatys", *pictures, "--side", "48", "--accelerator", "cpu", *others]


def _pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as picture:
        return np.array(picture, np.int64)


def test_a_picture_and_those_on_the_way_are_written(
    photographs: Path, paintings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep/c.png"
    arguments = ["--out", str(out), "--iterations", "5", "--snapshots", "2"]
    assert main(_arguments(photographs, paintings, *arguments)) == 0
    assert str(out) in capsys.readouterr().err
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "c.00002.png",
        "c.00004.png",
        "c.png",
    ]
    assert {_pixels(path).shape for path in out.parent.iterdir()} == {(38, 48, 3)}


def test_the_content_may_be_the_beginning(
    photographs: Path, paintings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "c.png"
    weights = ["--style-weight", "0", "--smooth-weight", "0", "--init", "content"]
    arguments = ["--out", str(out), "--iterations", "1", *weights]
    assert main(_arguments(photographs, paintings, *arguments)) == 0
    geometry = InputGeometry(height=48, width=48, resize="pad_to_multiple")
    difference = np.abs(_pixels(out) - prepare(photographs / "000.png", geometry))
    assert difference.mean() < 3  # nothing is asked of it but to stay


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"side": 16}, "--side"),
        ({"iterations": 0}, "--iterations"),
        ({"snapshots": -1}, "--snapshots"),
        ({"out": Path("c.gif")}, "--out must be named"),
        ({"style_layers": ("conv1",)}, "--style-layers"),
        ({"content_layers": ()}, "--content-layers"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Gatys(**options)


def test_pictures_must_be_named_and_large_enough(
    paintings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gatys", "--accelerator", "cpu"]) == 1
    assert "--content" in capsys.readouterr().err
    write_pictures(tmp_path / "small", 1, seed=0, size=(60, 20))
    small = ["--content", str(tmp_path / "small/000.png"), "--style", str(paintings / "000.png")]
    assert main(["gatys", *small, "--accelerator", "cpu"]) == 1
    assert "60x20" in capsys.readouterr().err


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gatys", "--help"])
    assert "sightline-train gatys --content a.jpg --style b.jpg --out c.png" in (
        capsys.readouterr().out
    )
