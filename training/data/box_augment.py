"""What is done to training pictures with boxes so that a detector does not see one twice.

One picture at a time, in a ``DataLoader``'s workers; torchvision does the work. The crops and
colours are those of SSD (Liu et al., 2016, https://arxiv.org/abs/1512.02325), the jitter of scale
that of Ghiasi et al., 2021 (https://arxiv.org/abs/2012.07177).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_area
from torchvision.transforms import v2

#: Least side of a box that stays, in pixels, and least share of its area that is still seen.
_LEAST_SIDE, _LEAST_SHARE = 2.0, 0.25
#: Pixels a side must have for a part of it to be cropped.
_CROPPABLE = 16


@dataclass(frozen=True)
class BoxAugmentation:
    """How training pictures with boxes are varied.

    Raises:
        ValueError: a value is out of its range; the message names both.
    """

    flip: bool = True
    """Whether a picture may be mirrored left to right; not where direction matters."""
    vertical_flip: bool = False
    """Whether it may be mirrored top to bottom, as pictures taken from above may."""
    crop: float = 0.5
    """How often a part is cut out that keeps at least one object's centre."""
    zoom_out: float = 1.0
    """Most times the picture is shrunk on its canvas, in half of all cases; 1 is not at all."""
    scale_min: float = 0.8
    """Least size of the picture or the part, as a share of what fits the canvas."""
    scale_max: float = 1.2
    """Largest size of it; what sticks out of the canvas is cut off."""
    photometric: float = 0.5
    """How often brightness, contrast, saturation and hue change."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("crop", 0, 1),
            ("zoom_out", 1, 8),
            ("scale_min", 0.1, 2),
            ("scale_max", 0.1, 2),
            ("photometric", 0, 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} must be from {low} to {high}, not {value}")
        if self.scale_min > self.scale_max:
            raise ValueError(
                f"--scale-min must be no more than --scale-max, not {self.scale_min} to "
                f"{self.scale_max}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture ready for a detector.

    Attributes:
        image: ``uint8[3, S, S]``.
        boxes: ``float32[K, 4]``, ``x_min, y_min, x_max, y_max`` in pixels of ``image``.
        labels: ``int64[K]``, from 0.
        ignored: ``bool[K]``: neither learned from as objects nor counted.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    ignored: Tensor


class BoxAugment:
    """Varies one picture with its boxes and lays it on a square canvas.

    Random numbers come from torch's default generator of the CPU.
    """

    def __init__(self, augmentation: BoxAugmentation, size: int, pad_value: int) -> None:
        """Prepare the steps.

        Args:
            augmentation: which, and how much.
            size: of the canvas, a side, in pixels.
            pad_value: of the canvas where no picture lies, 0 to 255.
        """
        self._chosen, self._size, self._pad_value = augmentation, size, pad_value
        self._crop = v2.RandomIoUCrop()
        self._photometric = v2.RandomApply(
            [v2.ColorJitter(brightness=0.2, contrast=0.4, saturation=0.4, hue=0.03)],
            p=augmentation.photometric,
        )

    def __call__(self, image: Tensor, boxes: Tensor, labels: Tensor, ignored: Tensor) -> Example:
        """Vary a picture of any size.

        Boxes of which less than a quarter is still seen, or less than 2 pixels a side, go.

        Args:
            image: ``uint8[3, H, W]``.
            boxes: ``float32[K, 4]``, corners in pixels of ``image``.
            labels: ``int64[K]``.
            ignored: ``bool[K]``.
        """
        image, boxes = self._flipped(image, boxes)
        image, boxes = self._cropped(image, boxes, ignored)
        image, boxes, seen = self._placed(image, boxes)
        sides = seen[:, 2:] - seen[:, :2]
        keep = (sides >= _LEAST_SIDE).all(1) & (box_area(seen) >= _LEAST_SHARE * box_area(boxes))
        return Example(image, seen[keep], labels[keep], ignored[keep])

    def _flipped(self, image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        height, width = image.shape[-2:]
        if self._chosen.flip and torch.rand(()) < 0.5:
            image = v2.functional.horizontal_flip(image)
            boxes = torch.stack(
                [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1
            )
        if self._chosen.vertical_flip and torch.rand(()) < 0.5:
            image = v2.functional.vertical_flip(image)
            boxes = torch.stack(
                [boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], dim=1
            )
        return image, boxes

    def _cropped(self, image: Tensor, boxes: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
        """A part of the picture; boxes may stick out of it."""
        height, width = image.shape[-2:]
        objects = boxes[~ignored]
        if not torch.rand(()) < self._chosen.crop or not len(objects):
            return image, boxes
        if min(height, width) < _CROPPABLE:
            return image, boxes
        wrapped = tv_tensors.BoundingBoxes(
            objects, format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=(height, width)
        )
        window = self._crop.make_params([image, wrapped])
        if not window:
            return image, boxes
        top, left = window["top"], window["left"]
        image = image[:, top : top + window["height"], left : left + window["width"]]
        return image, boxes - boxes.new_tensor([left, top, left, top])

    def _placed(self, image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Resized, coloured, and somewhere on the canvas; what sticks out is cut off.

        Returns:
            The canvas, the boxes on it, and what of them shows the picture, by their corners.
        """
        height, width = image.shape[-2:]
        scale = float(torch.empty(()).uniform_(self._chosen.scale_min, self._chosen.scale_max))
        if torch.rand(()) < 0.5:
            scale /= float(torch.empty(()).uniform_(1, self._chosen.zoom_out))
        scale *= self._size / max(height, width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        image = v2.functional.resize(image, list(inner), antialias=True)
        top, left = (self._offset(side) for side in inner)
        factor = boxes.new_tensor([inner[1] / width, inner[0] / height]).repeat(2)
        boxes = boxes * factor + boxes.new_tensor([left, top]).repeat(2)
        (y_min, y_max), (x_min, x_max) = self._span(top, inner[0]), self._span(left, inner[1])
        part = image[:, y_min - top : y_max - top, x_min - left : x_max - left]
        canvas = torch.full((3, self._size, self._size), self._pad_value, dtype=torch.uint8)
        canvas[:, y_min:y_max, x_min:x_max] = self._photometric(part)
        low = boxes.new_tensor([x_min, y_min]).repeat(2)
        high = boxes.new_tensor([x_max, y_max]).repeat(2)
        return canvas, boxes, boxes.clamp(low, high)

    def _offset(self, side: int) -> int:
        """Where a side begins: anywhere it lies on the canvas, or covers it if it is longer."""
        room = self._size - side
        return min(room, 0) + int(torch.randint(abs(room) + 1, ()))

    def _span(self, offset: int, side: int) -> tuple[int, int]:
        """Where on the canvas a side begins and ends."""
        return max(0, offset), min(self._size, offset + side)
