import pytest
import torch

from tests.training.style_sets import random_weights
from training.nets.style.adain import CODE, VggDecoder, adain_network
from training.nets.style.student import slim_network
from training.nets.style.vgg import ENCODED, channels


def test_the_full_network_keeps_its_encoder_and_gives_pictures() -> None:
    net = adain_network()
    trained = {name for name, each in net.named_parameters() if each.requires_grad}
    assert trained
    assert not any(name.startswith("encoder") for name in trained)
    with torch.inference_mode():
        code = net.code(torch.rand(2, 3, 16, 16))
        assert code.shape == (2, CODE)
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


def test_the_slim_network_is_a_small_part_of_the_full_one() -> None:
    def size(net: torch.nn.Module) -> int:
        return sum(each.numel() for each in net.parameters())

    assert size(slim_network()) < size(adain_network()) / 2


def test_slim_pictures_begin_faint() -> None:
    torch.manual_seed(0)
    net = slim_network()
    with torch.inference_mode():
        made = net(torch.rand(1, 3, 32, 32), None, style=torch.rand(1, 3, 32, 32))
    assert made.sub(0.5).abs().mean() < 0.3
    assert made.std() > 0


def test_slim_codes_are_not_negative() -> None:
    with torch.inference_mode():
        assert (slim_network().code(torch.rand(2, 3, 16, 16)) >= 0).all()
