"""Faster R-CNN as it is served: any number of pictures at once, every step with fixed slots.

torchvision's own inference makes lists whose lengths depend on what a picture shows; exported,
that fails for more than one picture, for none found, or for another size. Here the proposals and
the detections of each picture fill a fixed number of slots, and those that are void carry a score
of their own (``nms.NEVER``), so that one graph holds for every batch. What comes out is what
torchvision's inference gives for a picture of the same size.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from training.nets.detection.detector import Detector
from training.nets.detection.nms import NEVER, nms_keep

#: Boxes with a shorter side, in pixels, are void: torchvision's thresholds.
_LEAST_PROPOSAL, _LEAST_DETECTION = 1e-3, 1e-2


class BatchedDetector(nn.Module):
    """``images: uint8[N, H, W, 3]`` RGB of one size to detections; for evaluation mode.

    Returns ``boxes: float32[N, D, 4]`` x_min, y_min, x_max, y_max in pixels of the input,
    ``scores: float32[N, D]`` from high to low, ``labels: int32[N, D]`` from 0 on and ``count:
    int32[N]``, how many of the D slots are filled; the others are zeros.
    """

    told: Tensor | None

    def __init__(
        self,
        detector: Detector,
        pixels: nn.Module,
        height: int,
        width: int,
        classes: Sequence[int] | None = None,
    ) -> None:
        """Take the parts and the thresholds of a detector.

        Args:
            detector: whose weights are shared.
            pixels: ``uint8[N, H, W, 3]`` to what the backbone takes.
            height: of every picture, in pixels.
            width: of every picture, in pixels.
            classes: which of the detector's are told, from 0 on without the background; their
                positions here are the labels. Scores stay what they are among all of them.
                ``None``: all.
        """
        super().__init__()
        self.pixels = pixels
        self.detector = detector
        rpn, heads = detector.rpn, detector.roi_heads
        self._size = height, width
        self._proposals = rpn._pre_nms_top_n["testing"], rpn._post_nms_top_n["testing"]
        self._rpn_iou, self._rpn_least = rpn.nms_thresh, rpn.score_thresh
        self._iou, self._least = heads.nms_thresh, heads.score_thresh
        self._slots = heads.detections_per_img
        for level, anchors in enumerate(_anchors(detector, height, width)):
            self.register_buffer(f"anchors{level}", anchors, persistent=False)
        told = None if classes is None else torch.tensor(classes)
        self.register_buffer("told", told, persistent=False)

    def with_thresholds_moved(self, by: float) -> Self:
        """The same detector, its weights shared, with every threshold higher by so much."""
        other = copy.copy(self)
        other._rpn_iou, other._iou = self._rpn_iou + by, self._iou + by
        other._least = self._least + by
        return other

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find objects."""
        maps = {
            name: one.float() for name, one in self.detector.backbone(self.pixels(images)).items()
        }
        proposals, are_void = self._propose(maps)
        pooled = self._pool(maps, proposals)
        heads = self.detector.roi_heads
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        return self._detect(proposals, are_void, logits, deltas)

    def _propose(self, maps: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The best proposals ``float32[N, P, 4]``, and which of the slots are void."""
        before, after = self._proposals
        found_boxes, found_scores = [], []
        objectness, deltas = self.detector.rpn.head(list(maps.values()))
        for level, (scores, offsets) in enumerate(zip(objectness, deltas, strict=True)):
            anchors = self.get_buffer(f"anchors{level}")
            scores = scores.permute(0, 2, 3, 1).reshape(-1, len(anchors)).float()
            offsets = _by_anchor(offsets.float(), len(anchors))
            scores, index = scores.topk(min(before, len(anchors)), dim=1)
            boxes = decode(_take(offsets, index), anchors[index], (1.0, 1.0, 1.0, 1.0))
            boxes = _clip(boxes, self._size)
            scores = scores.sigmoid()
            is_good = _is_wide(boxes, _LEAST_PROPOSAL) & (scores >= self._rpn_least)
            scores = torch.where(is_good, scores, NEVER)
            kept = nms_keep(boxes, scores, self._rpn_iou, 0.0)
            found_boxes.append(boxes)
            found_scores.append(torch.where(kept, scores, NEVER))
        boxes, scores = torch.cat(found_boxes, 1), torch.cat(found_scores, 1)
        scores, index = scores.topk(min(after, scores.shape[1]), dim=1)
        return _take(boxes, index), scores == NEVER

    def _pool(self, maps: Mapping[str, Tensor], proposals: Tensor) -> Tensor:
        """What the maps hold at each proposal: ``float32[N * P, C, h, w]``.

        A proposal is read from the map that suits its size (Lin et al., 2017,
        https://arxiv.org/abs/1612.03144, equation 1).
        """
        pool = self.detector.roi_heads.box_roi_pool
        used = [one for name, one in maps.items() if name in pool.featmap_names]
        scales = [2.0 ** round(math.log2(one.shape[2] / self._size[0])) for one in used]
        lowest, highest = (-round(math.log2(scales[at])) for at in (0, -1))
        flat = proposals.reshape(-1, 4)
        picture = torch.arange(proposals.shape[0], device=flat.device)
        picture = picture[:, None].expand(-1, proposals.shape[1]).reshape(-1, 1)
        rois = torch.cat([picture.to(flat.dtype), flat], dim=1)
        side = (flat[:, 2:] - flat[:, :2]).prod(1).sqrt()
        # The small number before rounding down is torchvision's.
        level = torch.floor(pool.canonical_level + torch.log2(side / pool.canonical_scale + 1e-6))
        level = level.clamp(lowest, highest) - lowest
        channels = used[0].shape[1]
        pooled = flat.new_zeros(flat.shape[0], channels, *pool.output_size)
        for number, (one, scale) in enumerate(zip(used, scales, strict=True)):
            index = torch.nonzero(level == number)[:, 0]
            found = roi_align(one, rois[index], pool.output_size, scale, pool.sampling_ratio)
            pooled = pooled.index_copy(0, index, found)
        return pooled

    def _detect(
        self, proposals: Tensor, are_void: Tensor, logits: Tensor, deltas: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fill the slots of detections."""
        count, classes = proposals.shape[1], logits.shape[1] - 1
        weights = self.detector.roi_heads.box_coder.weights
        # By picture, class, proposal; the background goes.
        scores = logits.float().softmax(1).reshape(-1, count, classes + 1)[..., 1:].transpose(1, 2)
        offsets = deltas.float().reshape(-1, count, classes + 1, 4)[:, :, 1:].transpose(1, 2)
        if self.told is not None:
            classes = len(self.told)
            scores, offsets = scores.index_select(1, self.told), offsets.index_select(1, self.told)
        boxes = _clip(decode(offsets, proposals[:, None], weights), self._size)
        is_good = _is_wide(boxes, _LEAST_DETECTION) & ~are_void[:, None]
        scores = torch.where(is_good, scores, NEVER)
        kept = nms_keep(
            boxes.reshape(-1, count, 4), scores.reshape(-1, count), self._iou, self._least
        )
        scores = torch.where(kept.reshape(-1, classes * count), scores.flatten(1), NEVER)
        scores, index = scores.topk(min(self._slots, classes * count), dim=1)
        is_found = scores > self._least
        boxes = torch.where(is_found[..., None], _take(boxes.flatten(1, 2), index), 0.0)
        labels = torch.where(is_found, index // count, 0)
        scores = torch.where(is_found, scores, 0.0)
        return boxes, scores, labels.int(), is_found.sum(1).int()


def decode(deltas: Tensor, boxes: Tensor, weights: Sequence[float]) -> Tensor:
    """Boxes moved and stretched by what a network says (Girshick et al., 2014, appendix C).

    Args:
        deltas: ``float32[..., 4]``, of the centre and of the logarithm of the size.
        boxes: ``float32[..., 4]``.
        weights: what the deltas are multiplied by, to be divided by here.

    Returns:
        ``float32[..., 4]``.
    """
    x, y, wide, high = (deltas[..., at] / weights[at] for at in range(4))
    longest = math.log(1000.0 / 16)  # torchvision's, against overflow
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    centre_x = boxes[..., 0] + 0.5 * width + x * width
    centre_y = boxes[..., 1] + 0.5 * height + y * height
    half_width = 0.5 * width * wide.clamp(max=longest).exp()
    half_height = 0.5 * height * high.clamp(max=longest).exp()
    return torch.stack(
        [
            centre_x - half_width,
            centre_y - half_height,
            centre_x + half_width,
            centre_y + half_height,
        ],
        dim=-1,
    )


def _anchors(detector: Detector, height: int, width: int) -> list[Tensor]:
    """The anchors of each map, ``float32[A, 4]``, as training has them."""
    was_training = detector.training
    parameter = next(detector.parameters())
    with torch.no_grad():
        maps = detector.eval().backbone(parameter.new_zeros(1, 3, height, width))
    detector.train(was_training)
    grids = [(one.shape[2], one.shape[3]) for one in maps.values()]
    strides = [
        [
            torch.tensor(side // cells, device=parameter.device)
            for side, cells in zip((height, width), grid, strict=True)
        ]
        for grid in grids
    ]
    generator = detector.rpn.anchor_generator
    generator.set_cell_anchors(torch.float32, parameter.device)
    return list(generator.grid_anchors(grids, strides))


def _by_anchor(deltas: Tensor, anchors: int) -> Tensor:
    """``float32[N, 4 * a, h, w]`` -> ``float32[N, anchors, 4]``."""
    _, channels, height, width = deltas.shape
    by_box = deltas.reshape(-1, channels // 4, 4, height, width).permute(0, 3, 4, 1, 2)
    return by_box.reshape(-1, anchors, 4)


def _take(boxes: Tensor, index: Tensor) -> Tensor:
    """``float32[N, A, 4]`` at ``int64[N, K]``: ``float32[N, K, 4]``."""
    return boxes.gather(1, index[..., None].expand(-1, -1, 4))


def _clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def _is_wide(boxes: Tensor, least: float) -> Tensor:
    return ((boxes[..., 2:] - boxes[..., :2]) >= least).all(-1)
