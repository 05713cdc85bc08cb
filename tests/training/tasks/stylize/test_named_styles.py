import io

import numpy as np
import pytest
import torch
from PIL import Image

from service.presets import read_presets, write_presets
from training.nets.style.adain import adain_network
from training.tasks.stylize import named_styles as module
from training.tasks.stylize.drawn_styles import DRAWN, SIDE
from training.tasks.stylize.named_styles import drawn_presets, named_styles


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_style_has_texture_and_is_always_the_same(name: str) -> None:
    picture = DRAWN[name][1]()
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 20
    assert (picture == DRAWN[name][1]()).all()


def test_presets_can_be_written_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def painted(number: int, _: object) -> bytes:
        random = np.random.default_rng(number)
        data = io.BytesIO()
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data, "PNG")
        return data.getvalue()

    monkeypatch.setattr(module, "painting", painted)
    torch.manual_seed(0)
    net = adain_network((4, 4, 8, 8)).eval()
    made = list(named_styles(net, 64))
    assert [each.name for each in made[-3:]] == list(DRAWN)
    read = read_presets(write_presets(made))
    assert list(read) == [each.name for each in made]
    codes = np.stack([each.code for each in read.values()])
    assert codes.shape == (len(made), 48)
    assert len(np.unique(codes, axis=0)) == len(made)
    for each in made:
        assert each.licence
        with Image.open(io.BytesIO(each.thumbnail)) as thumbnail:
            assert thumbnail.size == (128, 128)


def test_drawn_styles_need_no_package() -> None:
    assert [each.name for each in drawn_presets(adain_network((4, 4, 8, 8)).eval())] == list(DRAWN)
