"""Transposed convolutions that begin as bilinear interpolation."""

import pytest
import torch
from torch.nn import functional

from training.nets.segmentation.upsampling import Upsampling, bilinear, cropped


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("factor", [2, 4, 8, 32])
def test_it_begins_as_bilinear_interpolation(factor: int, learned: bool) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 5, 7)
    upsampling = Upsampling(3, factor, learned=learned)
    expected = functional.interpolate(maps, scale_factor=factor, mode="bilinear")
    with torch.inference_mode():
        enlarged = upsampling(maps)
        beyond = upsampling(functional.pad(maps, (1, 1, 1, 1), mode="replicate"))
    assert enlarged.shape == expected.shape == (2, 3, 5 * factor, 7 * factor)
    inside = (..., slice(factor // 2, -factor // 2), slice(factor // 2, -factor // 2))
    torch.testing.assert_close(enlarged[inside], expected[inside])
    # Beside the maps lie zeros; with more of the maps there, the border is interpolated as well.
    assert enlarged[0, 0, 0, 0].abs() < expected[0, 0, 0, 0].abs()
    torch.testing.assert_close(beyond[..., factor:-factor, factor:-factor], expected)


def test_its_kernel_is_that_of_the_paper() -> None:
    assert bilinear(2)[1].tolist() == [0.1875, 0.5625, 0.5625, 0.1875]
    assert float(bilinear(8).sum()) == pytest.approx(64)


def test_a_fixed_one_has_nothing_to_learn_or_to_save() -> None:
    upsampling = Upsampling(3, 4, learned=False)
    assert not list(upsampling.parameters())
    assert not upsampling.state_dict()
    assert upsampling.to(torch.float64).weight.dtype == torch.float64
    assert upsampling.weight.shape == (3, 1, 8, 8)


def test_a_learned_one_may_come_to_mix_maps() -> None:
    upsampling = Upsampling(2, 2, learned=True)
    assert [name for name, _ in upsampling.named_parameters()] == ["weight"]
    upsampling(torch.randn(1, 2, 3, 3)).square().sum().backward()
    assert upsampling.weight.grad is not None
    assert upsampling.weight.grad[0, 1].any()
    assert not upsampling.weight[0, 1].any()


def test_what_is_too_much_is_cropped_below_and_to_the_right() -> None:
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert cropped(maps, 2, 3)[0, 0].tolist() == [[0, 1, 2], [4, 5, 6]]
