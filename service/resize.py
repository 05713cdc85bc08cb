"""The resize rules of the manifest, and the way back from a graph's pixels to the original's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry
from service.images import Picture, Size

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Before a large reduction Pillow first averages whole blocks, down to this many times the target.
_REDUCING_GAP = 3.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the original lies in a graph's input: ``input = original * scale + offset``.

    Attributes:
        width: of the upright original, in pixels.
        height: of the upright original, in pixels.
        scale: along x and y.
        offset: along x and y, in pixels of the graph's input.
    """

    width: int
    height: int
    scale: tuple[float, float]
    offset: tuple[float, float]

    def to_original(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points ``float[..., 2]`` (x, y) from the input to the original, clipped to it."""
        original = (np.asarray(points, np.float64) - self.offset) / self.scale
        return np.clip(original, 0, (self.width, self.height))


def place(width: int, height: int, geometry: InputGeometry) -> tuple[Placement, Size]:
    """Where an upright picture of this size goes, and the width and height of the input."""
    target_w, target_h = geometry.width, geometry.height
    if geometry.resize == "squash":
        scale = (target_w / width, target_h / height)
        return Placement(width, height, scale, (0.0, 0.0)), (target_w, target_h)
    if geometry.resize == "shortest_side":
        factor = max(target_w / width, target_h / height) / geometry.crop
        offset = ((target_w - width * factor) / 2, (target_h - height * factor) / 2)
        return Placement(width, height, (factor, factor), offset), (target_w, target_h)
    factor = min(target_w / width, target_h / height)
    if geometry.resize == "pad_to_multiple":
        factor = min(factor, 1.0)
    inner_w, inner_h = max(1, round(width * factor)), max(1, round(height * factor))
    scale = (inner_w / width, inner_h / height)
    if geometry.resize == "letterbox":
        offset = (float((target_w - inner_w) // 2), float((target_h - inner_h) // 2))
        return Placement(width, height, scale, offset), (target_w, target_h)
    step = geometry.multiple
    padded = (-(-inner_w // step) * step, -(-inner_h // step) * step)
    return Placement(width, height, scale, (0.0, 0.0)), padded


def needed_size(stored: Size, geometry: InputGeometry) -> Size:
    """The smallest size at which a picture of size ``stored`` need not be enlarged.

    The stored picture may lie on its side, so the larger of the two scales counts for both.
    """
    upright, _ = place(*stored, geometry)
    sideways, _ = place(*stored[::-1], geometry)
    factor = max(*upright.scale, *sideways.scale)
    return max(1, round(stored[0] * factor)), max(1, round(stored[1] * factor))


def fit(picture: Picture, geometry: InputGeometry) -> tuple[NDArray[np.uint8], Placement]:
    """Resize a picture as the manifest says.

    Returns:
        The graph's input ``uint8[H, W, 3]``, and where the original lies in it.
    """
    placement, size = place(picture.width, picture.height, geometry)
    (scale_x, scale_y), (left, top) = placement.scale, placement.offset
    inner = (
        min(size[0], round(picture.width * scale_x)),
        min(size[1], round(picture.height * scale_y)),
    )
    # The window of the picture that is seen, in the pixels it was decoded to.
    x0, y0, x1, y1 = picture.box
    decoded_x, decoded_y = (x1 - x0) / picture.width, (y1 - y0) / picture.height
    x, y = max(0.0, -left / scale_x), max(0.0, -top / scale_y)
    window = (
        x0 + x * decoded_x,
        y0 + y * decoded_y,
        min(x1, x0 + (x + inner[0] / scale_x) * decoded_x),
        min(y1, y0 + (y + inner[1] / scale_y) * decoded_y),
    )
    resized = picture.pixels
    if resized.size != inner or window != (0, 0, *inner):
        resized = resized.resize(
            inner, _RESAMPLING[geometry.interpolation], box=window, reducing_gap=_REDUCING_GAP
        )
    if inner == size:
        return np.asarray(resized), placement
    canvas = np.full((size[1], size[0], 3), geometry.pad_value, np.uint8)
    row, column = max(0, int(top)), max(0, int(left))
    canvas[row : row + inner[1], column : column + inner[0]] = np.asarray(resized)
    return canvas, placement
