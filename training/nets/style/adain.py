"""Networks that stylize: VGG-19's features in, and a decoder that turns them back into pixels."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from training.nets.style.half_size import Finish, HalfSize
from training.nets.style.modulation import Modulation, modulate
from training.nets.style.stylizer import Decoder, ReflectedConv, Stylizer, doubled
from training.nets.style.vgg import ENCODED, WIDTHS, Vgg19, convolutions, stage_of

_LAST = "conv1_1"
_HIDDEN = 256


def code_size(widths: Sequence[int] = WIDTHS) -> int:
    """How many numbers a code has: means and deviations of the activations of ENCODED."""
    return 2 * sum(widths[: len(ENCODED)])


class VggEncoder(nn.Module):
    """VGG-19 to the last activation of ENCODED, as it is: never trained."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        """Take the channels of the stages that are needed."""
        super().__init__()
        self.vgg = Vgg19(ENCODED, widths).requires_grad_(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``float[N, 3, H, W]`` in 0 to 1 -> the activations."""
        return list(self.vgg(pixels).values())


class VggDecoder(Decoder):
    """The decoder of Huang and Belongie (2017), told the finer statistics of the style as well.

    Its convolutions are named after those of VGG-19 whose work they undo. Theirs knows of content
    and style what ``relu4_1`` shows. Colours, strokes and edges are in the finer activations, by
    which the outcome is judged too. So what a code says of them scales and shifts the decoder's
    channels, and the content's own, restyled like the last, are added by a 1x1 convolution. Both
    begin by changing nothing, so published weights are as published.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        """Take the channels of the stages that are needed."""
        super().__init__()
        undone = dict(reversed([*convolutions(ENCODED[-1], widths).items()]))
        for name, (after, before) in undone.items():
            self.add_module(name, ReflectedConv(before, after))
        self._names = tuple(undone)
        # The first convolution after each doubling, and the place of what it is shown as well.
        self._places = {
            name: stage_of(name)
            for name, coarser in zip(self._names[1:], self._names, strict=False)
            if stage_of(name) < stage_of(coarser)
        }
        self.skips = nn.ModuleDict()
        for name, place in self._places.items():
            skip = nn.Conv2d(widths[place], undone[name][1], 1)
            for parameter in skip.parameters():
                nn.init.zeros_(parameter)
            self.skips[name] = skip
        told = {name: after for name, (after, _) in undone.items() if name != _LAST}
        self.modulation = Modulation(2 * code_size(widths), told, _HIDDEN)

    def features(self, restyled: Sequence[Tensor], codes: Tensor) -> Tensor:
        """Maps of all activations, the last ``float[N, C, h, w]``, and two codes -> features.

        Returns:
            ``float[N, C, H, W]``, of as many channels as the first map, and as large.
        """
        told = self.modulation(codes)
        x = restyled[-1]
        for name in self._names[:-1]:
            if name in self._places:
                x = doubled(x) + self.skips[name](restyled[self._places[name]])
            x = functional.relu(modulate(self.get_submodule(name)(x), told[name]))
        return x

    def pixels(self, features: Tensor) -> Tensor:
        """What ``features`` gave -> ``float[N, 3, H, W]``."""
        made: Tensor = self.get_submodule(_LAST)(features)
        return made


def adain_network(widths: Sequence[int] = WIDTHS) -> Stylizer:
    """The full network, with random weights.

    Args:
        widths: channels of VGG-19's first four stages.
    """
    return Stylizer(VggEncoder(widths), VggDecoder(widths))


def slim_network(widths: Sequence[int] = WIDTHS) -> HalfSize:
    """The full network at half the size and what finishes its pictures, with random weights.

    Args:
        widths: channels of VGG-19's first four stages.
    """
    finish = Finish(widths[0], 2 * code_size(widths))
    return HalfSize(VggEncoder(widths), VggDecoder(widths).requires_grad_(False), finish)
