"""The convolutions of VGG-19 in which content and style are told, by their names.

VGG-19 (Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556), its weights scaled so that
each channel's mean activation over ImageNet is 1, as Gatys et al. (2015,
https://arxiv.org/abs/1508.06576) do. Padding is by reflection, so that edges have no frame.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the convolutions between poolings."""

_CONVOLUTIONS = (2, 2, 4, 4, 4)

LAYERS: tuple[str, ...] = tuple(
    f"relu{stage}_{number}"
    for stage, count in enumerate(_CONVOLUTIONS, start=1)
    for number in range(1, count + 1)
)
"""Names of all activations, from the pixels on."""

ENCODED = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Activations whose statistics are the style in Huang and Belongie (2017)."""

LEAST_SIDE = 32
"""Pixels of the smallest picture that reaches ``relu5_1``, where reflection needs two."""


def channels(layer: str) -> int:
    """How many channels an activation has.

    Raises:
        ValueError: there is no such activation.
    """
    _position(layer)
    return WIDTHS[stage_of(layer)]


class Vgg19(nn.Module):
    """The convolutions up to the last activation that is asked for."""

    def __init__(self, layers: Sequence[str] = ENCODED, widths: Sequence[int] = WIDTHS) -> None:
        """Make the convolutions with random weights.

        Args:
            layers: activations to give, of LAYERS.
            widths: channels of the stages that are needed.

        Raises:
            ValueError: one is no activation of the network, or there is none.
        """
        super().__init__()
        if not layers:
            raise ValueError("name at least one activation")
        self.layers = tuple(sorted(layers, key=_position))
        made = convolutions(self.layers[-1], widths)
        self.names = tuple(name.replace("conv", "relu") for name in made)
        for name, (before, after) in made.items():
            convolution = nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")
            self.add_module(name, convolution)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """``float[N, 3, H, W]`` RGB in 0 to 1 -> each activation, ``float[N, C, h, w]``."""
        found = {}
        x = pixels
        for name in self.names:
            if name.endswith("_1") and name != self.names[0]:
                x = functional.max_pool2d(x, 2)
            x = functional.relu(self.get_submodule(_convolution(name))(x))
            if name in self.layers:
                found[name] = x
        return found

    def load_first(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of those convolutions that the network has; others are left out."""
        own = self.state_dict()
        self.load_state_dict({name: state[name] for name in own if name in state})


def convolutions(last: str, widths: Sequence[int] = WIDTHS) -> Mapping[str, tuple[int, int]]:
    """Channels before and after each convolution up to an activation, in order.

    Args:
        last: of LAYERS.
        widths: channels of the stages that are needed.

    Raises:
        ValueError: there is no such activation.
    """
    names = LAYERS[: _position(last) + 1]
    after = [widths[stage_of(name)] for name in names]
    before = [3, *after[:-1]]
    return {
        _convolution(name): pair
        for name, pair in zip(names, zip(before, after, strict=True), strict=True)
    }


def stage_of(name: str) -> int:
    """Poolings before an activation or its convolution, ``relu3_1`` or ``conv3_1``."""
    return int(name[4]) - 1


def _convolution(layer: str) -> str:
    return layer.replace("relu", "conv")


def _position(layer: str) -> int:
    if layer not in LAYERS:
        raise ValueError(f"there is no activation {layer}: {', '.join(LAYERS)}")
    return LAYERS.index(layer)
