from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry
from training.data.errors import DataError
from training.data.pictures import prepare
from training.data.views import MIRRORED, PLAIN, view

GEOMETRY = InputGeometry(height=48, width=64, resize="squash")


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red grows to the right, green downwards, of a picture of 320x160."""
    pixels = np.zeros((160, 320, 3), np.uint8)
    pixels[..., 0] = np.linspace(20, 220, 320)
    pixels[..., 1] = np.linspace(20, 220, 160)[:, None]
    path = tmp_path_factory.mktemp("views") / "ramp.png"
    Image.fromarray(pixels).save(path)
    return path


def spans(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """What share of the picture is seen along x (negative if mirrored) and y."""
    values = pixels.astype(float)
    width, height = values[0, -1, 0] - values[0, 0, 0], values[-1, 0, 1] - values[0, 0, 1]
    return width / 200, height / 200


@pytest.mark.parametrize("resize", ["squash", "letterbox", "shortest_side"])
def test_the_first_views_are_the_services_picture_and_its_mirror_image(
    ramp: Path, resize: str
) -> None:
    geometry = InputGeometry.model_validate({"height": 48, "width": 64, "resize": resize})
    plain = prepare(ramp, geometry)
    assert np.array_equal(view(ramp, geometry, PLAIN, seed=5), plain)
    assert np.array_equal(view(ramp, geometry, MIRRORED, seed=6), plain[:, ::-1])
    assert view(ramp, geometry, 2, seed=5).shape == (48, 64, 3)


def test_others_are_crops_of_most_of_it_and_half_are_mirrored(ramp: Path) -> None:
    found = np.array([spans(view(ramp, GEOMETRY, number, seed=7)) for number in range(2, 82)])
    width, height = np.abs(found).T
    assert (height > 0).all()
    area, aspect = width * height, width / height
    assert 0.76 < area.min() < 0.85
    assert 0.93 < area.max() <= 1.02
    assert 0.87 < aspect.min() < 0.94
    assert 1.06 < aspect.max() < 1.13
    assert 20 < (found[:, 0] < 0).sum() < 60


def test_a_crop_depends_on_the_seed_and_its_number_alone(ramp: Path) -> None:
    first = view(ramp, GEOMETRY, 2, seed=1)
    assert np.array_equal(view(ramp, GEOMETRY, 2, seed=1), first)
    assert not np.array_equal(view(ramp, GEOMETRY, 3, seed=1), first)
    assert not np.array_equal(view(ramp, GEOMETRY, 2, seed=2), first)


def test_large_jpegs_that_are_decoded_smaller_are_cropped_alike(ramp: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.open(ramp).resize((2560, 1280)).save(path, quality=95)
    for number in range(6):
        small, large = (view(file, GEOMETRY, number, seed=3).astype(int) for file in (ramp, path))
        assert np.abs(small[..., :2] - large[..., :2]).mean() < 4


def test_a_picture_of_one_pixel_can_be_cropped(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), (9, 8, 7)).save(path)
    for number in range(5):
        assert (view(path, GEOMETRY, number, seed=number) == (9, 8, 7)).all()


@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_or_missing_picture_is_named(ramp: Path, tmp_path: Path, number: int) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(ramp.read_bytes()[:100])
    with pytest.raises(DataError, match=r"bad\.png: the PNG file is damaged"):
        view(path, GEOMETRY, number, seed=0)
    with pytest.raises(DataError, match=r"no\.png: cannot be read"):
        view(tmp_path / "no.png", GEOMETRY, number, seed=0)
