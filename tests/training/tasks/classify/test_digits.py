"""MNIST as the service will see it."""

from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image

from service.images import Limits, decode
from service.resize import fit
from tests.training.tasks.classify.tiny_sets import digit
from training.data import benchmarks
from training.data.labelled import Labelled
from training.nets.digits import CANVAS, Digits
from training.tasks.classify import digits


def test_a_canvas_is_what_the_service_makes_of_the_file(tmp_path: Path) -> None:
    for shape in ((28, 28), (300, 200), (111, 240)):
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        path = tmp_path / "picture.png"
        Image.fromarray(image).save(path)
        picture = decode(path.read_bytes(), Limits())
        expected = fit(picture, digits.GEOMETRY)[0]
        found = digits.canvas(image)
        assert found.shape == (CANVAS, CANVAS, 3)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


def test_a_framed_set_keeps_its_order_and_classes(sets: dict[str, Path]) -> None:
    train, _ = benchmarks.load("mnist", sets["mnist"])
    framed = digits.framed(train)
    assert framed.shape == (28, 28, 1)
    assert framed.images.dtype == torch.uint8
    assert torch.equal(framed.targets, train.targets)
    assert framed.classes == train.classes
    assert framed.images.is_contiguous()
    for index in (0, 7, 39):
        canvas = torch.tensor(digits.canvas(train.images[index, ..., 0].numpy()))
        with torch.inference_mode():
            [[ink]] = Digits().eval()(canvas[None])
        torch.testing.assert_close(framed.images[index, ..., 0], (ink * 255).round().byte())


@pytest.fixture
def many() -> Labelled:
    """More digits than are framed anew each time, of which only the first are drawn."""
    drawn = np.stack([digit(text, 28, height=0.7) for text in "0123456789"])
    images = torch.from_numpy(drawn)[torch.arange(210) % 10, ..., None].contiguous()
    return Labelled(images, torch.arange(210) % 10, tuple("0123456789"))


def test_what_is_kept_is_not_framed_again(
    tmp_path: Path, many: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digits.framed(many, tmp_path)
    assert first.images.equal(digits.framed(many).images)
    counted = MagicMock(side_effect=digits.canvas)
    monkeypatch.setattr(digits, "canvas", counted)
    again = digits.framed(many, tmp_path)
    assert again.images.equal(first.images)
    assert again.targets.equal(many.targets)
    assert 0 < counted.call_count < len(many)


@pytest.mark.parametrize(
    "spoil", ["cut off", "of another network", "of another set", "not an array"]
)
def test_what_was_kept_otherwise_is_framed_again(
    tmp_path: Path, many: Labelled, spoil: str
) -> None:
    wanted = digits.framed(many, tmp_path).images
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if spoil == "cut off":
        path.write_bytes(whole[:-100])
    elif spoil == "of another network":
        np.save(path, 255 - wanted.numpy())
    elif spoil == "of another set":
        np.save(path, wanted.numpy()[:205])
    else:
        path.write_bytes(b"no array")
    assert digits.framed(many, tmp_path).images.equal(wanted)
    assert path.read_bytes() == whole


def test_light_on_dark_and_dark_on_light_are_framed_alike() -> None:
    image = digit("3", 140, height=0.4, bold=0.05, centre=(0.6, 0.5))
    light, dark = (digits.canvas(one) for one in (image, 255 - image))
    with torch.inference_mode():
        first, second = Digits().eval()(torch.from_numpy(np.stack([light, dark])))
    torch.testing.assert_close(first, second, atol=0.01, rtol=0)
