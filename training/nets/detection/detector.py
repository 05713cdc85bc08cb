"""Faster R-CNN as it is trained (Ren et al., 2015, https://arxiv.org/abs/1506.01497).

The parts are torchvision's, and so are the names of the parameters: published detectors load
strictly. What differs from torchvision's own training: pictures come in batches of one size, so
nothing is resized here; what 16 bits would spoil is computed in float32; and objects marked as
ignored (difficult ones, crowds) are neither learned nor taught to be background.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import concat_box_prediction_layers

Target = Mapping[str, Tensor]
"""Of one picture: ``boxes: float32[K, 4]`` x_min, y_min, x_max, y_max in its pixels, ``labels:
int64[K]`` from 1 on (0 is the background), ``ignored: float32[J, 4]`` boxes to learn nothing of."""

Size = tuple[int, int]

#: A sample on no object is left out if this share of it lies in a box that is ignored.
_IGNORED_SHARE = 0.5
_BACKGROUND, _LEFT_OUT = 0, -1


class Detector(nn.Module):
    """A network to train: pictures and targets in, losses out.

    Attributes:
        backbone: pictures to maps of several scales.
        rpn: maps to proposals.
        roi_heads: maps and proposals to detections.
    """

    def __init__(self, parts: FasterRCNN) -> None:
        """Take over the parts of a torchvision detector."""
        super().__init__()
        self.backbone = parts.backbone
        self.rpn = parts.rpn
        self.roi_heads = parts.roi_heads

    def forward(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The losses of a batch, in training mode.

        Args:
            images: normalised ``float32[N, 3, H, W]``.
            targets: one for each picture.

        Returns:
            Scalars: ``objectness`` and ``proposals`` of the proposal network, ``classes`` and
            ``boxes`` of the heads.
        """
        device = images.device.type
        sizes = [(images.shape[2], images.shape[3])] * images.shape[0]
        maps = OrderedDict((name, found.float()) for name, found in self.backbone(images).items())
        objectness, deltas = self.rpn.head(list(maps.values()))
        with torch.autocast(device, enabled=False):
            proposals, rpn_losses = self._propose(
                ImageList(images, sizes), maps, objectness, deltas, targets
            )
            proposals, labels, regression = self._sample(proposals, targets)
            pooled = self.roi_heads.box_roi_pool(maps, proposals, sizes)
        logits, offsets = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
        with torch.autocast(device, enabled=False):
            logits, offsets = logits.float(), offsets.float()
            if len(logits):
                classes, boxes = fastrcnn_loss(logits, offsets, labels, regression)
            else:  # all there is lies in boxes that are ignored; a mean of nothing is no number
                classes, boxes = logits.sum(), offsets.sum()
        return {**rpn_losses, "classes": classes, "boxes": boxes}

    def _propose(
        self,
        images: ImageList,
        maps: Mapping[str, Tensor],
        objectness: Sequence[Tensor],
        deltas: Sequence[Tensor],
        targets: Sequence[Target],
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        rpn = self.rpn
        sizes = images.image_sizes
        anchors = rpn.anchor_generator(images, list(maps.values()))
        counts = [one[0].numel() for one in objectness]
        scores, offsets = concat_box_prediction_layers(
            [one.float() for one in objectness], [one.float() for one in deltas]
        )
        boxes = rpn.box_coder.decode(offsets.detach(), anchors).view(len(sizes), -1, 4)
        proposals, _ = rpn.filter_proposals(boxes, scores, sizes, counts)
        labels, matched = rpn.assign_targets_to_anchors(anchors, targets)
        labels = _leave_out(labels, anchors, targets)
        regression = rpn.box_coder.encode(matched, anchors)
        objectness_loss, box_loss = rpn.compute_loss(scores, offsets, labels, regression)
        return proposals, {"objectness": objectness_loss, "proposals": box_loss}

    def _sample(
        self, proposals: list[Tensor], targets: Sequence[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Proposals to learn from, their labels and how far each is from its object."""
        heads = self.roi_heads
        truths = [target["boxes"] for target in targets]
        proposals = heads.add_gt_proposals(proposals, truths)
        matched, labels = heads.assign_targets_to_proposals(
            proposals, truths, [target["labels"] for target in targets]
        )
        chosen = heads.subsample(_leave_out(labels, proposals, targets))
        proposals = [boxes[rows] for boxes, rows in zip(proposals, chosen, strict=True)]
        labels = [each[rows] for each, rows in zip(labels, chosen, strict=True)]
        objects = [
            (boxes if len(boxes) else boxes.new_zeros(1, 4))[index[rows]]
            for boxes, index, rows in zip(truths, matched, chosen, strict=True)
        ]
        return proposals, labels, list(heads.box_coder.encode(objects, proposals))


def _leave_out(
    labels: Sequence[Tensor], boxes: Sequence[Tensor], targets: Sequence[Target]
) -> list[Tensor]:
    """Take what would be background, but lies in a box that is ignored, out of the samples."""
    kept = []
    for each, samples, target in zip(labels, boxes, targets, strict=True):
        ignored = target["ignored"]
        if len(ignored):
            share = _share_inside(samples, ignored).amax(1)
            is_left_out = (each == _BACKGROUND) & (share >= _IGNORED_SHARE)
            each = each.masked_fill(is_left_out, _LEFT_OUT)
        kept.append(each)
    return kept


def _share_inside(boxes: Tensor, others: Tensor) -> Tensor:
    """How much of each box lies in each other: ``float32[A, 4]``, ``[B, 4]`` -> ``[A, B]``."""
    top_left = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (bottom_right - top_left).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1e-6)
    return shared / area[:, None]
