import pytest
import torch
from torch.nn import functional

from training.nets.style.vgg import ENCODED, LAYERS, LEAST_SIDE, Vgg19, channels


def test_activations_are_those_asked_for_in_their_sizes() -> None:
    vgg = Vgg19(("relu3_1", "relu1_1", "relu4_2"))
    with torch.inference_mode():
        found = vgg(torch.rand(2, 3, 40, 32))
    shapes = {name: tuple(found[name].shape) for name in found}
    assert shapes == {
        "relu1_1": (2, 64, 40, 32),
        "relu3_1": (2, 256, 10, 8),
        "relu4_2": (2, 512, 5, 4),
    }
    assert all((each >= 0).all() for each in found.values())


def test_there_are_no_more_convolutions_than_needed() -> None:
    assert [name for name, _ in Vgg19(("relu2_1",)).named_children()] == [
        "conv1_1",
        "conv1_2",
        "conv2_1",
    ]


def test_the_smallest_picture_reaches_the_deepest_of_them() -> None:
    with torch.inference_mode():
        found = Vgg19(("relu5_1",))(torch.rand(1, 3, LEAST_SIDE, LEAST_SIDE))
    assert found["relu5_1"].shape[-1] == 2


def test_edges_are_reflected() -> None:
    vgg = Vgg19(("relu1_1",))
    pixels = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        first = vgg.get_submodule("conv1_1")
        mirrored = functional.pad(pixels, (1, 1, 1, 1), mode="reflect")
        wanted = functional.conv2d(mirrored, first.weight, first.bias).relu()  # type: ignore[arg-type]
        torch.testing.assert_close(vgg(pixels)["relu1_1"], wanted)


def test_weights_beyond_the_last_layer_are_left_out() -> None:
    large, small = Vgg19(("relu3_1",)), Vgg19(ENCODED[:2])
    small.load_first(large.state_dict())
    pixels = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        large_2_1 = Vgg19(("relu2_1", "relu3_1"))
        large_2_1.load_state_dict(large.state_dict())
        assert small(pixels)["relu2_1"].equal(large_2_1(pixels)["relu2_1"])


def test_a_weight_that_is_lacking_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"conv2_1"):
        Vgg19(("relu2_1",)).load_first(Vgg19(("relu1_2",)).state_dict())


def test_layers_have_vggs_channels() -> None:
    assert [channels(name) for name in ENCODED] == [64, 128, 256, 512]
    assert len(LAYERS) == 16


@pytest.mark.parametrize("layers", [("relu6_1",), ("conv1_1",), ()])
def test_other_layers_are_refused(layers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="activation"):
        Vgg19(layers)
