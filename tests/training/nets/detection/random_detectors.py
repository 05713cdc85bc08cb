"""Detectors that were never trained, but find much: their scores are spread out, no two alike."""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from service.session import Arrays
from training.nets.detection.architectures import build, find
from training.nets.detection.batched import BatchedDetector
from training.nets.detection.detector import Detector
from training.nets.pixels import Pixels

LIGHT, TORCHVISIONS = "efficientnet_lite0-fpn", "mobilenet_v3_large-320-fpn"
CLASSES = 3


def random_detector(name: str = LIGHT, classes: int = CLASSES, seed: int = 0) -> Detector:
    """A detector in evaluation mode whose outputs depend on the picture and differ from box to box.

    The defaults of PyTorch make activations fade from layer to layer, and torchvision's heads
    begin nearly the same everywhere.
    """
    torch.manual_seed(seed)
    detector = build(name, classes)
    for module in detector.backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    heads = detector.roi_heads
    for layer, spread in (
        (detector.rpn.head.cls_logits, 2.0),
        (detector.rpn.head.bbox_pred, 0.5),
        (heads.box_predictor.cls_score, 1.5),
        (heads.box_predictor.bbox_pred, 1.0),
    ):
        _spread(detector.eval(), layer, spread)
    with torch.no_grad():
        heads.box_predictor.cls_score.bias[0] += 4.0  # most is background
    return detector


def _spread(detector: Detector, layer: nn.Module, spread: float) -> None:
    """Scale a layer's weights until its outputs for some pictures are as far apart as wanted."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda *call: seen.append(call[2].flatten(1)))
    with torch.no_grad():
        torchvisions(detector, colourful(2, 96, 128).permute(0, 3, 1, 2).float() / 64 - 2)
        hook.remove()
        layer.get_parameter("weight").mul_(spread / torch.cat(seen, 1).std())


def colourful(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Pictures of overlapping shapes, ``uint8[count, height, width, 3]``, each another."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        picture = Image.fromarray(random.integers(0, 120, (height, width, 3), np.uint8))
        pen = ImageDraw.Draw(picture)
        for _ in range(6):
            x, y = (int(random.integers(0, side * 3 // 4)) for side in (width, height))
            box = (x, y, *(int(at + random.integers(8, height // 2)) for at in (x, y)))
            colour = tuple(random.integers(0, 256, 3).tolist())
            (pen.rectangle if random.random() < 0.5 else pen.ellipse)(box, fill=colour)
        pictures.append(np.asarray(picture))
    return torch.from_numpy(np.stack(pictures))


def batched(detector: Detector, name: str, height: int, width: int) -> BatchedDetector:
    """As it is served."""
    architecture = find(name)
    pixels = Pixels(architecture.mean, architecture.std)
    return BatchedDetector(detector, pixels, height, width).eval()


def torchvisions(detector: Detector, pixels: Tensor) -> list[Arrays]:
    """What torchvision's own inference finds with the same parts, a graph's outputs by name.

    Args:
        detector: in evaluation mode.
        pixels: normalised ``float32[N, 3, H, W]``.
    """
    sizes = [(pixels.shape[2], pixels.shape[3])] * len(pixels)
    with torch.no_grad():
        maps = detector.backbone(pixels)
        proposals, _ = detector.rpn(ImageList(pixels, sizes), maps)
        found, _ = detector.roi_heads(maps, proposals, sizes)
    return [_in_slots(one, detector.roi_heads.detections_per_img) for one in found]


def _in_slots(found: dict[str, Tensor], slots: int) -> Arrays:
    count = len(found["scores"])
    boxes, scores = np.zeros((slots, 4), np.float32), np.zeros(slots, np.float32)
    labels = np.zeros(slots, np.int32)
    boxes[:count], scores[:count] = found["boxes"].numpy(), found["scores"].numpy()
    labels[:count] = found["labels"].numpy() - 1  # torchvision's begin with the background
    return {"boxes": boxes, "scores": scores, "labels": labels, "count": np.array(count, np.int32)}
