"""Networks that stylize: VGG-19's features in, and a decoder that turns them back into pixels."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from training.nets.style.modulation import Modulation, modulate
from training.nets.style.stylizer import ReflectedConv, Stylizer, doubled
from training.nets.style.vgg import ENCODED, WIDTHS, Vgg19, convolutions

FULL, SLIM = ENCODED, ENCODED[:-1]
"""Activations that the full network works with, and the slim one."""

_LAST = "conv1_1"
_HIDDEN, _SLIM_HIDDEN = 256, 128


def code_size(layers: Sequence[str] = FULL, widths: Sequence[int] = WIDTHS) -> int:
    """How many numbers a code has: means and deviations of some activations.

    The slim network's code is how the full one's begins.
    """
    return 2 * sum(widths[: len(layers)])


class VggEncoder(nn.Module):
    """VGG-19 to the last of some activations, as it is: never trained."""

    def __init__(self, layers: Sequence[str] = FULL, widths: Sequence[int] = WIDTHS) -> None:
        """Take FULL or SLIM, and the channels of the stages that are needed."""
        super().__init__()
        self.vgg = Vgg19(layers, widths).requires_grad_(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``float[N, 3, H, W]`` in 0 to 1 -> the activations."""
        return list(self.vgg(pixels).values())


class VggDecoder(nn.Module):
    """The decoder of Huang and Belongie (2017), told the finer statistics of the style as well.

    Its convolutions are named after those of VGG-19 whose work they undo. Theirs knows of content
    and style what ``relu4_1`` shows. Colours, strokes and edges are in the finer activations, by
    which the outcome is judged too. So what a code says of them scales and shifts the decoder's
    channels, and the content's own, restyled like the last, are added by a 1x1 convolution. Both
    begin by changing nothing, so published weights are as published.
    """

    def __init__(
        self,
        layers: Sequence[str] = FULL,
        widths: Sequence[int] = WIDTHS,
        hidden: int = _HIDDEN,
    ) -> None:
        """Make the layers.

        Args:
            layers: FULL or SLIM; the decoder begins with the last of them.
            widths: channels of the stages that are needed.
            hidden: features between a code and what it tells.
        """
        super().__init__()
        undone = dict(reversed([*convolutions(layers[-1], widths).items()]))
        for name, (after, before) in undone.items():
            self.add_module(name, ReflectedConv(before, after))
        self._names = tuple(undone)
        # The first convolution after each doubling, and the place of what it is shown as well.
        self._places = {
            name: _stage(name)
            for name, coarser in zip(self._names[1:], self._names, strict=False)
            if _stage(name) < _stage(coarser)
        }
        self.skips = nn.ModuleDict()
        for name, place in self._places.items():
            skip = nn.Conv2d(widths[place], undone[name][1], 1)
            for parameter in skip.parameters():
                nn.init.zeros_(parameter)
            self.skips[name] = skip
        told = {name: after for name, (after, _) in undone.items() if name != _LAST}
        self.modulation = Modulation(2 * code_size(layers, widths), told, hidden)

    def forward(self, restyled: Sequence[Tensor], codes: Tensor) -> Tensor:
        """Maps of all activations, the last ``float[N, C, h, w]``, and two codes -> pixels.

        Returns:
            ``float[N, 3, H, W]``, as large as the first map.
        """
        told = self.modulation(codes)
        x = restyled[-1]
        for name in self._names:
            if name in self._places:
                x = doubled(x) + self.skips[name](restyled[self._places[name]])
            x = self.get_submodule(name)(x)
            if name != _LAST:
                x = functional.relu(modulate(x, told[name]))
        return x


def adain_network(widths: Sequence[int] = WIDTHS) -> Stylizer:
    """The full network, with random weights.

    Args:
        widths: channels of VGG-19's first four stages.
    """
    return Stylizer(VggEncoder(FULL, widths), VggDecoder(FULL, widths))


def slim_network() -> Stylizer:
    """The same from ``relu3_1`` on, with random weights: less than half of the operations.

    What ``relu4_1`` shows, larger figures of a style, it cannot give; strokes and colours it can.
    """
    return Stylizer(VggEncoder(SLIM), VggDecoder(SLIM, hidden=_SLIM_HIDDEN))


def _stage(convolution: str) -> int:
    return int(convolution[4]) - 1
