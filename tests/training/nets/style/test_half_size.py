import pytest
import torch
from torch.nn import functional

from training.nets.style.adain import adain_network, slim_network
from training.nets.style.half_size import Finish, HalfSize
from training.nets.style.stylizer import Stylizer

WIDTHS = (4, 6, 8, 8)


@pytest.fixture
def full() -> Stylizer:
    torch.manual_seed(0)
    return adain_network(WIDTHS).eval()


@pytest.fixture
def slim(full: Stylizer) -> HalfSize:
    """With the full network's weights, and nothing that is finished."""
    net = slim_network(WIDTHS).eval()
    net.load_state_dict(full.state_dict(), strict=False)
    return net


def test_it_begins_as_the_full_network_of_halved_pictures(full: Stylizer, slim: HalfSize) -> None:
    content, style = torch.rand(2, 3, 64, 48), torch.rand(2, 3, 32, 48)
    half, half_style = (functional.avg_pool2d(each, 2) for each in (content, style))
    alpha = torch.tensor([1.0, 0.4])
    with torch.inference_mode():
        code = slim.code(style)
        assert code.equal(full.code(half_style))
        wanted = full(half, code, alpha)
        found = slim(content, code, alpha)
    assert found.shape == content.shape
    torch.testing.assert_close(functional.avg_pool2d(found, 2), wanted, atol=0.2, rtol=0)
    enlarged = functional.interpolate(wanted, size=(64, 48), mode="bilinear")
    torch.testing.assert_close(found, enlarged)


def test_only_what_finishes_is_trained(slim: HalfSize) -> None:
    trained = {name for name, each in slim.named_parameters() if each.requires_grad}
    assert trained
    assert all(name.startswith("finish.") for name in trained)


@pytest.mark.parametrize("part", ["content", "features", "codes"])
def test_details_are_of_the_content_the_features_and_the_codes(part: str) -> None:
    torch.manual_seed(0)
    finish = Finish(4, 10)
    given = {
        "content": torch.rand(1, 3, 32, 32),
        "features": torch.rand(1, 4, 16, 16),
        "codes": torch.rand(1, 10),
    }
    with torch.inference_mode():
        assert finish(**given).abs().max() == 0
        for parameter in finish.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        before = finish(**given)
        assert before.shape == (1, 3, 32, 32)
        assert not torch.allclose(finish(**{**given, part: given[part] + 1}), before)


def test_details_are_of_their_place() -> None:
    """A change at one pixel stays near it, on both sides alike."""
    torch.manual_seed(0)
    finish = Finish(4, 10)
    torch.nn.init.normal_(finish.last.weight, std=0.3)
    content, changed = torch.rand(1, 3, 64, 64).repeat(2, 1, 1, 1).chunk(2)
    changed = changed.clone()
    changed[..., 32, 32] += 1
    rest = torch.rand(1, 4, 32, 32), torch.rand(1, 10)
    with torch.inference_mode():
        apart = (finish(changed, *rest) - finish(content, *rest)).abs().amax((0, 1))
    rows, columns = torch.nonzero(apart > 1e-6, as_tuple=True)
    for places in (rows, columns):
        assert places.min() >= 32 - 8
        assert places.max() <= 32 + 9
