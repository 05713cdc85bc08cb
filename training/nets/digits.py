"""From a picture of a digit, drawn or photographed, to what MNIST would have made of it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.nets.pixels import LUMA

#: Side of the picture MNIST gives, and of the box in it that a digit fills.
SIDE, BOX = 28, 20
#: Side of the picture taken: four pixels for each of MNIST's.
CANVAS = 112
_OVERSAMPLING = 4
_BORDER = 4
_ROBUST_STEPS = 6
#: Side of a square that no stroke fills, ten of MNIST's pixels, at half the canvas' resolution.
_STROKE = 21
#: Of one that not even a blot in MNIST fills, thirteen of its pixels.
_WIDE = 25
#: A change of brightness that is no shadow yet.
_EVEN = 0.05
#: A difference that no ink at the border makes.
_PLAIN = 0.1
#: How far a border may stand from a surface that is fitted well.
_FITS = 0.02
#: Of the strongest ink: what is full ink, and up to what the ground is left out at most. Where the
#: border has little grain, less is left out, so many times its median: dotted strokes are faint.
_FULL, _FAINT, _GRAINS = 0.9, 0.15, 6.0


class Digits(nn.Module):
    """``uint8[N, 112, 112, 3]`` RGB -> ink ``float32[N, 1, 28, 28]``, 0 to 1.

    MNIST's digits are light on dark, scaled to fit 20x20 pixels, and put into 28x28 with their
    centre of mass in the middle (LeCun et al., 1998, http://yann.lecun.com/exdb/mnist). Paper,
    ink, light and framing of a photograph are brought to the same form here, in the graph:

    1. The paper is a plane of brightness fitted to the border of the picture, or a bowl where a
       lens has darkened the corners; ink is what departs from it, to whichever side departs more,
       so both polarities and a slanting light do.
    2. What is wider than any stroke is no ink but a shadow.
    3. Contrast: the darkest parts of the ink become 1, what is near the paper becomes 0; how near
       depends on the paper's grain.
    4. The box around the ink is scaled to 20 pixels and the centre of mass moved to the middle.

    A picture without ink gives zeros, or faint noise, and never a value that is not finite.
    """

    def __init__(self) -> None:
        super().__init__()
        border = np.ones((CANVAS, CANVAS), bool)
        border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
        rows, columns = (np.mgrid[:CANVAS, :CANVAS] + 0.5) / CANVAS - 0.5
        plane = np.stack([np.ones_like(rows), rows, columns], axis=-1)
        distance = (rows**2 + columns**2)[..., None]
        self.border: Tensor
        self.grid: Tensor
        self.register_buffer("border", torch.from_numpy(np.flatnonzero(border)), persistent=False)
        self.plane = _Surface(plane, border)
        self.bowl = _Surface(np.concatenate([plane, distance], axis=-1), border)
        steps = torch.arange(SIDE * _OVERSAMPLING, dtype=torch.float32)
        self.register_buffer("grid", (steps + 0.5) / (SIDE * _OVERSAMPLING) - 0.5, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, 112, 112, 3]`` -> ``float32[N, 1, 28, 28]``."""
        red, green, blue = (images[..., channel].float() for channel in range(3))
        grey = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue) / 255
        return self._frame(self._ink(grey))

    def _ink(self, grey: Tensor) -> Tensor:
        """``float32[N, H, W]`` brightness -> ``float32[N, 1, H, W]`` ink, 0 to 1."""
        flat = grey.flatten(1)
        border = flat[:, self.border]
        plane, bowl = self.plane(border), self.bowl(border)
        # A plane misses how a lens darkens the corners of a picture. A bowl also follows shadows
        # and ink at the border, so it counts only where it is plainly another and fits well.
        is_another = (bowl - plane).abs().amax(1, keepdim=True) > _PLAIN
        misfit = (border - bowl[:, self.border]).abs().mean(1, keepdim=True)
        is_bowl = is_another & (misfit < _FITS)
        is_light = _is_light(flat - bowl)
        departure = flat - torch.where(is_bowl, bowl, plane)
        grain = _median(departure[:, self.border].abs())
        sign = 2 * is_light - 1
        ink = _strokes(sign * departure)
        strongest = ink.topk(CANVAS * CANVAS // 100, dim=1).values.mean(1, keepdim=True)
        strongest = strongest.clamp(min=0.05)
        faintest = (_GRAINS * grain / strongest).clamp(max=_FAINT)
        ink = ((ink / strongest - faintest) / (_FULL - faintest)).clamp(0, 1)
        return ink.reshape(-1, 1, CANVAS, CANVAS)

    def _frame(self, ink: Tensor) -> Tensor:
        """Scale and move the ink: ``float32[N, 1, 112, 112]`` -> ``float32[N, 1, 28, 28]``."""
        # Specks thinner than a stroke do not count for the box.
        solid = functional.avg_pool2d(ink, 5, 1, 2).squeeze(1)
        top, bottom = _extent(solid.amax(2) > 0.25)
        left, right = _extent(solid.amax(1) > 0.25)
        longer = torch.maximum(bottom - top, right - left).clamp(min=CANVAS / 16)
        side = longer * (SIDE / BOX)
        window = self._sample(ink, (top + bottom) / 2, (left + right) / 2, side)
        # The centre of mass, relative to the window, in shares of its side.
        mass = window.sum((1, 2, 3)).clamp(min=1e-6)
        down = (window.sum((1, 3)) * self.grid).sum(1) / mass
        across = (window.sum((1, 2)) * self.grid).sum(1) / mass
        centred = self._sample(
            ink, (top + bottom) / 2 + down * side, (left + right) / 2 + across * side, side
        )
        return functional.avg_pool2d(centred, _OVERSAMPLING)

    def _sample(self, ink: Tensor, row: Tensor, column: Tensor, side: Tensor) -> Tensor:
        """The square window around a point, all ``float32[N]`` in pixels, four samples a pixel."""
        offsets = self.grid.unsqueeze(0) * side.unsqueeze(1)
        rows = (row.unsqueeze(1) + offsets) * (2 / CANVAS) - 1
        columns = (column.unsqueeze(1) + offsets) * (2 / CANVAS) - 1
        length = self.grid.shape[0]
        grid = torch.stack(
            [
                columns.unsqueeze(1).expand(-1, length, length),
                rows.unsqueeze(2).expand(-1, length, length),
            ],
            dim=-1,
        )
        return functional.grid_sample(ink, grid, align_corners=False)


class _Surface(nn.Module):
    """A smooth surface of brightness fitted to the border of a picture."""

    def __init__(self, basis: NDArray[np.float64], border: NDArray[np.bool_]) -> None:
        """Take the functions it is a sum of, ``float[H, W, K]``, and the border, ``bool[H, W]``."""
        super().__init__()
        self.basis: Tensor
        self.at_border: Tensor
        self.fit: Tensor
        for name, matrix in (
            ("basis", basis.reshape(-1, basis.shape[-1]).T),
            ("at_border", basis[border].T),
            ("fit", np.linalg.pinv(basis[border]).T),
        ):
            self.register_buffer(name, torch.from_numpy(matrix.copy()).float(), persistent=False)

    def forward(self, border: Tensor) -> Tensor:
        """``float32[N, P]`` at the border -> ``float32[N, H * W]``.

        The fit is a robust one, by Huber's modified residuals (1981): what stands out of the
        surface is pulled towards it.
        """
        target = border
        for _ in range(_ROBUST_STEPS):
            fitted = target @ self.fit @ self.at_border
            target = fitted + (border - fitted).clamp(-0.05, 0.05)
        return target @ self.fit @ self.basis


def _is_light(departure: Tensor) -> Tensor:
    """Whether ink is lighter than paper: ``float32[N, H * W]`` -> ``float32[N, 1]``, 1 or 0."""
    sides = []
    for side in (departure, -departure):
        # Between strokes the paper stands out of the ink, but not of the surface; a shadow stands
        # out of the surface, but not of what is around it.
        ink = torch.minimum(side.clamp(min=0), _strokes(side))
        # Squares: strokes are few pixels but far from the paper.
        sides.append(ink.square().sum(1, keepdim=True))
    return (sides[0] >= sides[1]).float()


def _strokes(departure: Tensor) -> Tensor:
    """What of light ink is no wider than a stroke, ``float32[N, H * W]`` to the same, 0 or more.

    The white top-hat (Meyer, 1979): what is left of a picture without its opening, here by a
    square. Slopes and straight edges of light belong to the opening. A picture on whose ground
    nothing wide stands out keeps all its ink, so that a thick stroke stays whole.
    """
    picture = departure.reshape(-1, 1, CANVAS, CANVAS)
    # What is wide needs no fine look: half the resolution takes an eighth of the time.
    smooth = functional.avg_pool2d(picture, 4, 2, 1, count_include_pad=False)
    wide = _opening(smooth, _WIDE).abs().amax((1, 2, 3), keepdim=True)
    opened = functional.interpolate(_opening(smooth, _STROKE), scale_factor=2.0, mode="bilinear")
    ground = torch.where(wide > _EVEN, opened, 0.0)
    return (picture - ground).clamp(min=0).flatten(1)


def _opening(picture: Tensor, side: int) -> Tensor:
    """What of light things holds a square, of ``float32[N, 1, H, W]``."""
    return _widened(-_widened(-picture, side), side)


def _widened(picture: Tensor, side: int) -> Tensor:
    """The greatest value in the square around each place of ``float32[N, 1, H, W]``."""
    rows = functional.max_pool2d(picture, (side, 1), 1, (side // 2, 0))
    return functional.max_pool2d(rows, (1, side), 1, (0, side // 2))


def _median(values: Tensor) -> Tensor:
    """The upper median of each row, ``float32[N, P]`` -> ``float32[N, 1]``."""
    return values.topk(values.shape[1] // 2, dim=1).values[:, -1:]


def _extent(inked: Tensor) -> tuple[Tensor, Tensor]:
    """The first and one past the last true place of ``bool[N, L]``; 0 and L where there is none."""
    length = inked.shape[1]
    places = torch.arange(length, device=inked.device, dtype=torch.float32)
    some = inked.any(1)
    first = torch.where(inked, places, float(length)).amin(1)
    last = torch.where(inked, places + 1, 0.0).amax(1)
    return torch.where(some, first, 0.0), torch.where(some, last, float(length))
