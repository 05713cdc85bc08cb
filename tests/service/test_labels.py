"""Labels in a request: read apart at commas, unless a label has one, and refused by name."""

from pathlib import Path

import pytest
from fabricate import TinySegmenter

from service.contract import Manifest, read_manifest
from service.errors import ParameterError
from service.labels import positions


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(TinySegmenter().write(tmp_path))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([], []),
        (["red"], [1]),
        (["blue", "red"], [1, 3]),
        (["blue, red", "red"], [1, 3]),
        (["green, light"], [2]),
        (["black", "green, light"], [0, 2]),
        (["red,"], [1]),
        (["blue, ,red,,"], [1, 3]),
    ],
)
def test_classes_are_found_among_the_labels(
    manifest: Manifest, classes: list[str], expected: list[int]
) -> None:
    assert positions(classes, manifest) == expected


@pytest.mark.parametrize("classes", [["bird"], ["red,bird"], ["red", "bird"], ["bird,red"]])
def test_a_stranger_is_named(manifest: Manifest, classes: list[str]) -> None:
    with pytest.raises(ParameterError, match="classes: 'bird' is no label of model 'colours'"):
        positions(classes, manifest)


@pytest.mark.parametrize("classes", [[""], [","], [" , "], ["red", ""]])
def test_a_value_that_names_nothing_is_refused(manifest: Manifest, classes: list[str]) -> None:
    with pytest.raises(ParameterError, match=r"classes: '[ ,]*' names no label; GET /models/"):
        positions(classes, manifest)
