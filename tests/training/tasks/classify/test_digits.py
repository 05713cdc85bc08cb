"""MNIST as the service will see it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from service.images import Limits, decode
from service.resize import fit
from tests.training.tasks.classify.tiny_sets import digit
from training.data import benchmarks
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


def test_light_on_dark_and_dark_on_light_are_framed_alike() -> None:
    image = digit("3", 140, height=0.4, bold=0.05, centre=(0.6, 0.5))
    light, dark = (digits.canvas(one) for one in (image, 255 - image))
    with torch.inference_mode():
        first, second = Digits().eval()(torch.from_numpy(np.stack([light, dark])))
    torch.testing.assert_close(first, second, atol=0.01, rtol=0)
