"""What is done to training pictures with masks so that a segmenter does not see one twice.

One picture at a time, in a ``DataLoader``'s workers or beside the training; torchvision does the
work. Crops of a picture at a random scale are the usual recipe of segmentation, as in DeepLab
(Chen et al., 2017, https://arxiv.org/abs/1706.05587).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from training.data.masked import VOID
from training.ranges import need


@dataclass(frozen=True)
class MaskAugmentation:
    """How training pictures with masks are varied.

    Raises:
        ValueError: a value is out of its range; the message names both.
    """

    crop_height: int | None = None
    """Height of what is cut out, in pixels; the network's input's if left out."""
    crop_width: int | None = None
    """Width of what is cut out, in pixels; the network's input's if left out."""
    scale_min: float = 0.5
    """Least size of the picture, as a share of what fits the network's input."""
    scale_max: float = 2.0
    """Largest size of it; a part of the crop's size is cut out."""
    flip: bool = True
    """Whether a picture may be mirrored left to right; not where direction matters."""
    brightness: float = 0.3
    """Most brightness changes, as a share."""
    contrast: float = 0.3
    """Most contrast changes, as a share."""
    saturation: float = 0.3
    """Most saturation changes, as a share."""
    hue: float = 0.0
    """Most hue changes, as a share of the colour circle; takes longer than all the others."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("crop_height", 1, 4096),
            ("crop_width", 1, 4096),
            ("scale_min", 0.1, 8),
            ("scale_max", 0.1, 8),
            ("brightness", 0, 1),
            ("contrast", 0, 1),
            ("saturation", 0, 1),
            ("hue", 0, 0.5),
        ):
            value = getattr(self, name)
            is_met = value is None or low <= value <= high
            need(is_met, name.replace("_", "-"), f"from {low} to {high}", value)
        need(
            self.scale_min <= self.scale_max,
            "scale-min",
            f"no more than --scale-max, {self.scale_max}",
            self.scale_min,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture ready for a segmenter.

    Attributes:
        image: ``uint8[3, h, w]``.
        mask: ``uint8[h, w]``, positions of classes, 255 for void.
    """

    image: Tensor
    mask: Tensor


class MaskAugment:
    """Varies one picture with its mask and cuts out a part of one size.

    Random numbers come from torch's default generator of the CPU.

    Attributes:
        height: of what is handed out, in pixels.
        width: of what is handed out, in pixels.
    """

    def __init__(
        self, augmentation: MaskAugmentation, height: int, width: int, pad_value: int
    ) -> None:
        """Prepare the steps.

        Args:
            augmentation: which, and how much.
            height: of the network's input, in pixels.
            width: of the network's input, in pixels.
            pad_value: where no picture lies, 0 to 255.
        """
        self._chosen, self._input, self._pad_value = augmentation, (height, width), pad_value
        self.height = augmentation.crop_height or height
        self.width = augmentation.crop_width or width
        self._jitter = v2.ColorJitter(
            augmentation.brightness,
            augmentation.contrast,
            augmentation.saturation,
            augmentation.hue,
        )

    def __call__(self, image: Tensor, mask: Tensor) -> Example:
        """Vary a picture of any size.

        Scaled, it is cut to the crop's size, anywhere, or laid anywhere on a crop that is larger.
        What will not be seen is cut off first, so that only the rest is resized.

        Args:
            image: ``uint8[3, H, W]``.
            mask: ``uint8[H, W]``.
        """
        height, width = mask.shape
        scale = float(torch.empty(()).uniform_(self._chosen.scale_min, self._chosen.scale_max))
        scale *= min(self._input[0] / height, self._input[1] / width)
        rows, columns = self._span(height, scale, self.height), self._span(width, scale, self.width)
        seen = (slice(rows.source, rows.source_end), slice(columns.source, columns.source_end))
        size = [rows.length, columns.length]
        part = v2.functional.resize(image[:, *seen], size, antialias=True)
        classes = v2.functional.resize(
            mask[None, *seen], size, interpolation=InterpolationMode.NEAREST_EXACT
        )
        if self._chosen.flip and torch.rand(()) < 0.5:
            part = v2.functional.horizontal_flip(part)
            classes = v2.functional.horizontal_flip(classes)
        part = self._jitter(part)
        where = (
            slice(rows.start, rows.start + rows.length),
            slice(columns.start, columns.start + columns.length),
        )
        canvas = torch.full((3, self.height, self.width), self._pad_value, dtype=torch.uint8)
        canvas[:, *where] = part
        labels = torch.full((self.height, self.width), VOID, dtype=torch.uint8)
        labels[where] = classes[0]
        return Example(canvas, labels)

    def _span(self, side: int, scale: float, crop: int) -> "_Span":
        """Which part of a side is seen, and where on the crop."""
        scaled = max(1, round(side * scale))
        if scaled <= crop:
            return _Span(0, side, int(torch.randint(crop - scaled + 1, ())), scaled)
        seen = min(side, max(1, round(crop / scale)))
        first = int(torch.randint(side - seen + 1, ()))
        return _Span(first, first + seen, 0, crop)


@dataclass(frozen=True, slots=True)
class _Span:
    """Pixels ``source`` to before ``source_end``, resized to ``length`` from ``start`` on."""

    source: int
    source_end: int
    start: int
    length: int
