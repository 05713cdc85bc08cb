"""Pictures whose detections hang on no last digit, to compare detectors on.

A detector decides: one of two boxes goes if they overlap by more than a threshold. Where they
overlap by nearly that much, two sound computations that round differently give different boxes.
Such a picture tells nothing about a graph, so it is not compared; in which it happens is found by
moving the thresholds a little, in PyTorch alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from service.detections import deviation
from service.session import Arrays, split, stack
from training.golden import golden_candidates
from training.nets.detection.batched import BatchedDetector
from training.parity import ParityError
from training.tasks.detect.predict import OUTPUTS

#: How far thresholds are moved: what rounding moves an overlap by, ten times over.
NUDGE = 1e-5
#: Levels of a pixel that change at random where golden pictures are chosen.
_GRAIN = 2
_SURE = 0.5


def steady(module: BatchedDetector, items: Sequence[Arrays], tolerance: float) -> list[Arrays]:
    """The items whose detections stay when thresholds are moved by ``NUDGE``.

    Args:
        module: in evaluation mode.
        items: pictures as ``images: uint8[H, W, 3]``.
        tolerance: how far detections may move, as ``service.detections.deviation`` has it.

    Raises:
        ParityError: they are fewer than half, so that nothing could be said of a graph.
    """
    moved = [module.with_thresholds_moved(by) for by in (-NUDGE, NUDGE)]

    def stays(item: Arrays) -> bool:
        expected = _run(module, item)
        return all(deviation(_run(other, item), expected) <= tolerance for other in moved)

    found = [item for item in items if stays(item)]
    if 2 * len(found) < len(items):
        raise ParityError(
            f"what is found in {len(items) - len(found)} of {len(items)} pictures hangs on the "
            "fifth digit of a threshold, so that no graph can be compared with it; is the "
            "detector trained?"
        )
    return found


def golden(module: BatchedDetector, height: int, width: int) -> list[Arrays]:
    """Two drawn pictures to record the detections of.

    Of a number of them those whose detections change least when pixels are grained or digits are
    cut, and in which something is found, if there are such: they compare well in fewer bits too.
    """
    random = np.random.default_rng(0)
    ranked: list[tuple[bool, bool, float, int, NDArray[np.uint8]]] = []
    for picture in golden_candidates(height, width):
        grain = random.integers(-_GRAIN, _GRAIN, picture.shape, endpoint=True)
        grained = np.clip(picture.astype(np.int64) + grain, 0, 255).astype(np.uint8)
        found = _run(module, {"images": picture})
        with torch.autocast("cpu", torch.bfloat16):
            others = [_run(module, {"images": picture}), _run(module, {"images": grained})]
        restless = max(deviation(other, found) for other in others)
        is_sure = bool(found["scores"].max(initial=0) >= _SURE)
        ranked.append((not is_sure, not int(found["count"]), restless, len(ranked), picture))
    return [{"images": entry[-1]} for entry in sorted(ranked, key=lambda entry: entry[:-1])[:2]]


def _run(module: BatchedDetector, item: Arrays) -> Arrays:
    with torch.inference_mode():
        outputs = module(torch.from_numpy(stack([item["images"]])))
    named = zip(OUTPUTS, outputs, strict=True)
    return split({name: tensor.numpy() for name, tensor in named}, 1)[0]
