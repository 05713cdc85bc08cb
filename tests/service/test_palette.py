"""Colours of labels: those told, or PASCAL VOC's."""

from pathlib import Path
from typing import Any

import pytest
from fabricate import TinySegmenter

from service.contract import Manifest, read_manifest
from service.errors import ManifestError
from service.palette import palette, voc_colour, written


def manifest(root: Path, **options: str) -> Manifest:
    return read_manifest(TinySegmenter(options=options).write(root))


def test_the_map_is_voc_s() -> None:
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        8: (64, 0, 0),
        15: (192, 128, 128),  # person
        20: (0, 64, 128),  # tvmonitor
        255: (224, 224, 192),
    }
    assert {index: voc_colour(index) for index in known} == known
    assert len({voc_colour(index) for index in range(256)}) == 256


def test_colours_are_voc_s_and_black_is_the_background_s(tmp_path: Path) -> None:
    with_one = palette(manifest(tmp_path / "a", background="red"))
    assert with_one == tuple(map(voc_colour, range(5)))
    assert palette(manifest(tmp_path / "b")) == tuple(map(voc_colour, range(1, 6)))


def test_a_palette_of_the_manifest_s_own_is_read(tmp_path: Path) -> None:
    told = "#000000 #ff0000 #00Ff01  #0000FF #727272"
    found = palette(manifest(tmp_path, palette=told))
    assert found == ((0, 0, 0), (255, 0, 0), (0, 255, 1), (0, 0, 255), (114, 114, 114))
    assert " ".join(map(written, found)) == "#000000 #ff0000 #00ff01 #0000ff #727272"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("", "5 labels need as many colours"),
        ("#000000 #ff0000", "5 labels need as many colours"),
        ("#000000 " * 6, "5 labels need as many colours"),
        (7, "5 labels need as many colours"),
        ("#000000 #ff0000 #00ff00 #0000ff red", "'red' is no colour"),
        ("#000000 #ff0000 #00ff00 #0000ff #00ff0", "'#00ff0' is no colour"),
        ("#000000 #ff0000 #00ff00 #0000ff #00ff0g", "'#00ff0g' is no colour"),
        ("#000000 #ff0000 #00ff00 #0000ff 000000", "'000000' is no colour"),
    ],
)
def test_a_palette_that_is_none_is_refused(tmp_path: Path, told: Any, why: str) -> None:
    with pytest.raises(ManifestError, match=rf"model 'colours': options\.palette: {why}"):
        palette(manifest(tmp_path, palette=told))
