from collections.abc import Callable

import pytest
import torch

from tests.training.style_sets import random_weights
from training.nets.style.adain import (
    FULL,
    SLIM,
    VggDecoder,
    adain_network,
    code_size,
    slim_network,
)
from training.nets.style.stylizer import Stylizer
from training.nets.style.vgg import ENCODED, channels

CODE = code_size()


@pytest.mark.parametrize(("make", "layers"), [(adain_network, FULL), (slim_network, SLIM)])
def test_a_network_keeps_its_encoder_and_gives_pictures(
    make: Callable[[], Stylizer], layers: tuple[str, ...]
) -> None:
    net = make()
    trained = {name for name, each in net.named_parameters() if each.requires_grad}
    assert trained
    assert not any(name.startswith("encoder") for name in trained)
    with torch.inference_mode():
        code = net.code(torch.rand(2, 3, 16, 16))
        assert code.shape == (2, code_size(layers))
        assert net(torch.rand(2, 3, 24, 16), code).shape == (2, 3, 24, 16)


def _maps() -> list[torch.Tensor]:
    sizes = zip(ENCODED, (16, 8, 4, 2), strict=True)
    return [torch.rand(1, channels(layer), side, side) for layer, side in sizes]


def test_a_decoder_begins_as_the_published_one_whatever_the_finer_maps() -> None:
    decoder = VggDecoder()
    decoder.load_state_dict(dict(random_weights()["adain-decoder"]), strict=False)
    (*_, last), others = _maps(), _maps()
    code = torch.rand(1, 2 * CODE)
    with torch.inference_mode():
        plain = decoder([*(torch.zeros_like(each) for each in others[:-1]), last], 0 * code)
        assert decoder([*others[:-1], last], code).equal(plain)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_decoder_listens_to_finer_maps_and_statistics(level: int) -> None:
    decoder, maps, code = VggDecoder(), _maps(), torch.rand(1, 2 * CODE)
    with torch.inference_mode():
        for skip in decoder.skips.values():
            torch.nn.init.normal_(skip.get_parameter("weight"), std=0.1)
        plain = decoder(maps, code)
        torch.nn.init.normal_(decoder.modulation.told.weight, std=0.1)
        assert not torch.allclose(decoder(maps, code), plain)
        torch.nn.init.zeros_(decoder.modulation.told.weight)
        maps[level] = maps[level] + 1
        assert not torch.allclose(decoder(maps, code), plain)


def test_a_slim_code_is_how_a_full_one_begins() -> None:
    full, slim = adain_network(), slim_network()
    slim.encoder.get_submodule("vgg").load_state_dict(
        full.encoder.get_submodule("vgg").state_dict(), strict=False
    )
    pixels = torch.rand(2, 3, 32, 24)
    with torch.inference_mode():
        assert full.code(pixels)[:, : code_size(SLIM)].equal(slim.code(pixels))


def test_the_slim_decoder_is_the_end_of_the_full_one() -> None:
    full, slim = (net.decoder.state_dict() for net in (adain_network(), slim_network()))
    own = {name: each.shape for name, each in slim.items() if not name.startswith("modulation")}
    assert {name: full[name].shape for name in own} == own
    assert "conv3_1.weight" in own
    assert "conv3_2.weight" not in own
