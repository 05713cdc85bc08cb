from collections.abc import Callable

import pytest
import torch

from tests.training.style_sets import random_weights
from training.nets.style.adain import VggDecoder, adain_network, code_size, slim_network
from training.nets.style.stylizer import Stylizer
from training.nets.style.vgg import ENCODED, channels

CODE = code_size()


def shown(decoder: VggDecoder, maps: list[torch.Tensor], codes: torch.Tensor) -> torch.Tensor:
    return decoder.pixels(decoder.features(maps, codes))


@pytest.mark.parametrize("make", [adain_network, slim_network])
def test_a_network_keeps_its_encoder_and_gives_pictures(make: Callable[[], Stylizer]) -> None:
    net = make()
    trained = {name for name, each in net.named_parameters() if each.requires_grad}
    assert trained
    assert not any(name.startswith("encoder") for name in trained)
    with torch.inference_mode():
        code = net.code(torch.rand(2, 3, 32, 32))
        assert code.shape == (2, CODE)
        assert net(torch.rand(2, 3, 48, 32), code).shape == (2, 3, 48, 32)


def _maps() -> list[torch.Tensor]:
    sizes = zip(ENCODED, (16, 8, 4, 2), strict=True)
    return [torch.rand(1, channels(layer), side, side) for layer, side in sizes]


def test_a_decoder_begins_as_the_published_one_whatever_the_finer_maps() -> None:
    decoder = VggDecoder()
    decoder.load_state_dict(dict(random_weights()["adain-decoder"]), strict=False)
    (*_, last), others = _maps(), _maps()
    code = torch.rand(1, 2 * CODE)
    with torch.inference_mode():
        plain = shown(decoder, [*(torch.zeros_like(each) for each in others[:-1]), last], 0 * code)
        assert shown(decoder, [*others[:-1], last], code).equal(plain)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_decoder_listens_to_finer_maps_and_statistics(level: int) -> None:
    decoder, maps, code = VggDecoder(), _maps(), torch.rand(1, 2 * CODE)
    with torch.inference_mode():
        for skip in decoder.skips.values():
            torch.nn.init.normal_(skip.get_parameter("weight"), std=0.1)
        plain = shown(decoder, maps, code)
        torch.nn.init.normal_(decoder.modulation.told.weight, std=0.1)
        assert not torch.allclose(shown(decoder, maps, code), plain)
        torch.nn.init.zeros_(decoder.modulation.told.weight)
        maps[level] = maps[level] + 1
        assert not torch.allclose(shown(decoder, maps, code), plain)
