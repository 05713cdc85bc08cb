"""The full network: VGG-19's features in, and a decoder that turns them back into pixels."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from training.nets.style.modulation import Modulation, modulate
from training.nets.style.stylizer import ReflectedConv, Stylizer, doubled
from training.nets.style.vgg import ENCODED, Vgg19, channels

CODE = 2 * sum(channels(layer) for layer in ENCODED)
"""Numbers of a code: means and deviations of four activations."""

#: The convolutions of the decoder, named after those of VGG-19 whose work they undo.
_DECODER: Mapping[str, tuple[int, int]] = {
    "conv4_1": (512, 256),
    "conv3_4": (256, 256),
    "conv3_3": (256, 256),
    "conv3_2": (256, 256),
    "conv3_1": (256, 128),
    "conv2_2": (128, 128),
    "conv2_1": (128, 64),
    "conv1_2": (64, 64),
    "conv1_1": (64, 3),
}
#: The first convolutions of a size, and the finer activations that they are shown as well.
_FIRST_OF_A_SIZE: Mapping[str, str] = {
    "conv3_4": "relu3_1",
    "conv2_2": "relu2_1",
    "conv1_2": "relu1_1",
}
_LAST = "conv1_1"
_HIDDEN = 256


class VggEncoder(nn.Module):
    """VGG-19 to ``relu4_1``, as it is: it stays in evaluation and is never trained."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = Vgg19(ENCODED).requires_grad_(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``float[N, 3, H, W]`` in 0 to 1 -> the activations of ENCODED."""
        return list(self.vgg(pixels).values())


class VggDecoder(nn.Module):
    """The decoder of Huang and Belongie (2017), told the finer statistics of the style as well.

    Their decoder knows of content and style what ``relu4_1`` shows. Colours, strokes and edges are
    in the finer activations, by which the outcome is judged too. So what a code says of them scales
    and shifts the decoder's channels, and the content's own, restyled like the last, are added by a
    1x1 convolution. Both begin by changing nothing, so published weights are as published.
    """

    def __init__(self) -> None:
        super().__init__()
        for name, (before, after) in _DECODER.items():
            self.add_module(name, ReflectedConv(before, after))
        self.skips = nn.ModuleDict()
        for name, layer in _FIRST_OF_A_SIZE.items():
            skip = nn.Conv2d(channels(layer), _DECODER[name][0], 1)
            for parameter in skip.parameters():
                nn.init.zeros_(parameter)
            self.skips[name] = skip
        told = {name: after for name, (_, after) in _DECODER.items() if name != _LAST}
        self.modulation = Modulation(2 * CODE, told, _HIDDEN)

    def forward(self, restyled: Sequence[Tensor], codes: Tensor) -> Tensor:
        """Maps of ENCODED, the last ``float[N, 512, h, w]``, and ``float[N, 2 CODE]`` -> pixels.

        Returns:
            ``float[N, 3, 8h, 8w]``.
        """
        told = self.modulation(codes)
        finer = dict(zip(ENCODED, restyled, strict=True))
        x = restyled[-1]
        for name in _DECODER:
            if name in _FIRST_OF_A_SIZE:
                x = doubled(x) + self.skips[name](finer[_FIRST_OF_A_SIZE[name]])
            x = self.get_submodule(name)(x)
            if name != _LAST:
                x = functional.relu(modulate(x, told[name]))
        return x


def adain_network() -> Stylizer:
    """The full network, with random weights."""
    return Stylizer(VggEncoder(), VggDecoder())
