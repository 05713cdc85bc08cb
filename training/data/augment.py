"""What is done to training pictures so that a network does not see the same one twice.

On whole batches, on the device, each picture with its own chance; kornia does the work
(Riba et al., 2020, https://arxiv.org/abs/1910.02190).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kornia.augmentation as kornia
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torchvision.transforms import v2

from training.data.labelled import Labelled
from training.run import replacing


@dataclass(frozen=True)
class Augmentation:
    """How training pictures are varied. Nothing is, unless said.

    Raises:
        ValueError: a value is out of its range; the message names both.
    """

    rotation: float = 0.0
    """Most degrees a picture is turned, to either side."""
    shift: float = 0.0
    """Most it is moved, as a share of its side."""
    zoom: float = 0.0
    """Most it is enlarged or shrunk, as a share of its size."""
    shear: float = 0.0
    """Most degrees it is slanted."""
    elastic: float = 0.0
    """Strength of elastic distortion (Simard et al., 2003); 1 is strong."""
    flip: bool = False
    """Whether it may be mirrored left to right; not where direction matters, as in writing."""
    crop_padding: int = 0
    """Pixels of black added on every side before a crop of the old size."""
    crop_area: float = 1.0
    """Least share of the picture's area that a crop of another shape keeps."""
    brightness: float = 0.0
    """Most brightness and contrast change, as a share."""
    colour: float = 0.0
    """Most saturation changes, as a share, and hue, as a tenth of it."""
    erase: float = 0.0
    """How often a rectangle is blotted out (Zhong et al., 2017, arXiv:1708.04896)."""
    mixup: float = 0.0
    """The alpha of mixing two pictures and their labels (Zhang et al., 2018, arXiv:1710.09412)."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rotation", 0, 180),
            ("shift", 0, 1),
            ("zoom", 0, 0.9),
            ("shear", 0, 80),
            ("elastic", 0, 100),
            ("crop_padding", 0, 1000),
            ("crop_area", 0.01, 1),
            ("brightness", 0, 1),
            ("colour", 0, 1),
            ("erase", 0, 1),
            ("mixup", 0, 100),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} must be from {low} to {high}, not {value}")

    @property
    def needs_margin(self) -> bool:
        """Whether training pictures should be larger than what the network takes."""
        return self.crop_area < 1


class Augment(nn.Module):
    """``float32[B, C, H, W]``, 0 to 1, to the same varied, ``float32[B, C, height, width]``.

    Random numbers come from torch's default generators.
    """

    def __init__(self, augmentation: Augmentation, height: int, width: int) -> None:
        super().__init__()
        steps = _steps(augmentation, height, width)
        self._steps = kornia.AugmentationSequential(*steps, data_keys=["input"]) if steps else None

    def forward(self, pictures: Tensor) -> Tensor:
        """Vary each picture of a batch."""
        if self._steps is None:
            return pictures
        varied: Tensor = self._steps(pictures)
        return varied


def _steps(chosen: Augmentation, height: int, width: int) -> list[Any]:
    steps: list[Any] = []
    if chosen.elastic:
        steps.append(
            kornia.RandomElasticTransform(
                kernel_size=(min(21, height // 4 * 2 + 1),) * 2,
                sigma=(4.0, 4.0),
                alpha=(chosen.elastic, chosen.elastic),
                p=0.5,
            )
        )
    if chosen.rotation or chosen.shift or chosen.zoom or chosen.shear:
        steps.append(
            kornia.RandomAffine(
                degrees=chosen.rotation,
                translate=(chosen.shift, chosen.shift) if chosen.shift else None,
                scale=(1 - chosen.zoom, 1 + chosen.zoom) if chosen.zoom else None,
                shear=chosen.shear or None,
                p=1.0,
            )
        )
    if chosen.crop_area < 1:
        steps.append(
            kornia.RandomResizedCrop(
                (height, width), scale=(chosen.crop_area, 1.0), cropping_mode="slice", p=1.0
            )
        )
    if chosen.crop_padding:
        steps.append(
            kornia.RandomCrop(
                (height, width), padding=chosen.crop_padding, cropping_mode="slice", p=1.0
            )
        )
    if chosen.flip:
        steps.append(kornia.RandomHorizontalFlip(p=0.5))
    if chosen.brightness or chosen.colour:
        steps.append(
            kornia.ColorJitter(
                chosen.brightness, chosen.brightness, chosen.colour, chosen.colour / 10, p=1.0
            )
        )
    if chosen.erase:
        steps.append(kornia.RandomErasing(scale=(0.02, 0.25), p=chosen.erase))
    return steps


def mix(pictures: Tensor, targets: Tensor, classes: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Mix a batch with itself.

    Args:
        pictures: ``float32[B, C, H, W]``.
        targets: ``int64[B]``.
        classes: how many there are.
        alpha: of the Beta distribution the shares are drawn from.

    Returns:
        ``float32[B, C, H, W]``, and the share of each class, ``float32[B, classes]``.
    """
    mixed, shares = v2.MixUp(alpha=alpha, num_classes=classes)(pictures, targets)
    return mixed, shares


def contact_sheet(
    labelled: Labelled, augment: Augment, path: Path, *, pictures: int = 8, variants: int = 7
) -> None:
    """Write a picture of what augmentation does.

    Args:
        labelled: where the pictures are from; evenly spread over the set.
        augment: what is done to them.
        path: of the PNG.
        pictures: rows, each a picture as it is and then varied.
        variants: columns beside the first.
    """
    chosen = np.linspace(0, len(labelled) - 1, pictures).astype(int).tolist()
    images, targets = labelled.__getitems__(chosen)
    plain = images.permute(0, 3, 1, 2).float() / 255
    varied = [augment(plain) for _ in range(variants)]
    height, width = varied[0].shape[-2:]
    first = nn.functional.interpolate(plain, (height, width), mode="bilinear", antialias=True)
    scale = max(1, 96 // height)
    cell = (height * scale + 4, width * scale + 4)
    label_width = 110
    sheet = Image.new("RGB", (label_width + cell[1] * (variants + 1), cell[0] * pictures), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (target, cells) in enumerate(
        zip(targets.tolist(), torch.stack([first, *varied], dim=1), strict=True)
    ):
        name = labelled.classes[target]
        draw.text((4, row * cell[0] + cell[0] // 2 - 6), name[:17], fill="black")
        for column, picture in enumerate(cells):
            pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
            tile = Image.fromarray(pixels.expand(-1, -1, 3).contiguous().numpy())
            tile = tile.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            sheet.paste(tile, (label_width + column * cell[1], row * cell[0] + 2))
    with replacing(path) as temporary:
        sheet.save(temporary)
