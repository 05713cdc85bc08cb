"""Detection: where in a picture objects are, and which of the model's labels each has."""

from collections.abc import Mapping
from typing import Annotated, Final

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from service import detections, labels, task
from service.boxes import suppress
from service.contract import Dimension, Manifest, require_tensor, shape_of
from service.drawing import Tagged, draw_boxes, readable
from service.errors import ManifestError
from service.images import Picture
from service.resize import fit
from service.session import Arrays
from service.task import Answered, Inferred, Original, Prepared

NAME: Final = "detect"
_OPTIONS = ("score_threshold", "iou_threshold", "default_threshold", "default_iou_threshold")

Share = Annotated[float, Field(ge=0, le=1)]


class Params(task.Params):
    """Query parameters of ``/detect``."""

    threshold: Share | None = Field(
        None,
        description="Leave out detections with a lower score; the model's own default when left "
        "out. A value below the model's `score_threshold` changes nothing.",
    )
    iou_threshold: Share | None = Field(
        None,
        description="Of two detections of one label that overlap by more than this IoU, the better "
        "stays; the model's own default when left out. A value above the model's `iou_threshold`, "
        "at which its graph has done the same, changes nothing.",
    )
    max_detections: Annotated[int, Field(ge=1, le=1000)] = Field(
        100, description="Most detections to return, the best; fewer if the model gives fewer."
    )
    classes: labels.Classes = Field(
        [],
        description="Labels to look for, repeated or separated by commas; all when left out.",
    )

    def check(self, manifest: Manifest) -> None:
        """Refuse a class the model does not know."""
        labels.positions(self.classes, manifest)


class Box(BaseModel):
    """A box in pixels of the upright picture, from its upper left corner."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Detection(BaseModel):
    """One object."""

    label: str
    index: int = Field(description="Position of the label in the model's list, from 0.")
    score: float = Field(description="How sure the model is, 0 to 1.")
    box: Box


class Result(Answered):
    """The answer to one picture, surest detection first."""

    detections: list[Detection]


def check(manifest: Manifest, assets: Mapping[str, bytes]) -> None:  # noqa: ARG001
    """Ask for ``images: uint8[N,H,W,3]`` -> boxes, scores, labels and their count, D slots each.

    ``boxes: float32[N,D,4]`` (x_min, y_min, x_max, y_max in pixels of the input),
    ``scores: float32[N,D]``, ``labels: int32[N,D]`` and ``count: int32[N]``, how many of the slots
    are detections. The options are the thresholds the graph was made with, ``score_threshold`` and
    ``iou_threshold``, and those of a request that names none, ``default_threshold`` and
    ``default_iou_threshold``.

    Raises:
        ManifestError: names the field that is wrong.
    """
    model, geometry = f"model {manifest.name!r}", manifest.input
    if geometry.resize == "shortest_side":
        raise ManifestError(f"{model}: input.resize: 'shortest_side' cuts objects off")
    side: tuple[Dimension, Dimension] = (geometry.height, geometry.width)
    if geometry.resize == "pad_to_multiple":
        side = ("H", "W")
    slots = _slots(manifest)
    require_tensor(manifest, "main", "images", "uint8", ("N", *side, 3))
    require_tensor(manifest, "main", "boxes", "float32", ("N", slots, 4))
    require_tensor(manifest, "main", "scores", "float32", ("N", slots))
    require_tensor(manifest, "main", "labels", "int32", ("N", slots))
    require_tensor(manifest, "main", "count", "int32", ("N",))
    if not manifest.labels:
        raise ManifestError(f"{model}: labels: a detector needs at least one")
    for name in _OPTIONS:
        value = manifest.options.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ManifestError(f"{model}: options.{name}: a detector needs a number from 0 to 1")


def prepare(picture: Picture, manifest: Manifest, params: Params) -> Prepared:  # noqa: ARG001
    """Resize the picture to ``images: uint8[H,W,3]``."""
    images, placement = fit(picture, manifest.input)
    return Prepared({"images": images}, placement)


def finish(inferred: Inferred, params: Params) -> Result:
    """Keep what the request asks for, in pixels of the upright original.

    Boxes are clipped to the picture, and those of which nothing is left are dropped, before
    overlapping ones are suppressed.

    Raises:
        InferenceError: a value is not finite or out of its range.
    """
    manifest, options = inferred.manifest, inferred.manifest.options
    found = detections.read(inferred.outputs, len(manifest.labels))
    scores, indices = found.scores, found.labels
    least, overlap = params.threshold, params.iou_threshold
    least = float(options["default_threshold"]) if least is None else least
    overlap = float(options["default_iou_threshold"]) if overlap is None else overlap
    keep = scores >= least
    if wanted := labels.positions(params.classes, manifest):
        keep &= np.isin(indices, wanted)
    order = np.flatnonzero(keep)
    order = order[np.argsort(-scores[order], kind="stable")]
    corners = inferred.placement.to_original(found.boxes[order].reshape(-1, 2, 2))
    boxes = corners.reshape(-1, 4).round(2)
    solid = (boxes[:, :2] < boxes[:, 2:]).all(1)
    boxes, order = boxes[solid], order[solid]
    best = suppress(boxes, indices[order], overlap)[: params.max_detections]
    told = [
        Detection(
            label=manifest.labels[index],
            index=index,
            score=round(score, 6),
            box=Box(x_min=box[0], y_min=box[1], x_max=box[2], y_max=box[3]),
        )
        for index, score, box in zip(
            indices[order][best].tolist(),
            scores[order][best].tolist(),
            boxes[best].tolist(),
            strict=True,
        )
    ]
    return Result(**inferred.common, detections=told)


def draw(original: Original, inferred: Inferred, params: Params) -> Image.Image:
    """Draw the detections on the upright original, the surest on top.

    Raises:
        InferenceError: a value is not finite or out of its range.
    """
    result = finish(inferred, params)
    return draw_boxes(
        original(),
        [
            Tagged(
                box=(found.box.x_min, found.box.y_min, found.box.x_max, found.box.y_max),
                text=f"{readable(found.label, found.index)} {found.score:.2f}",
                colour=found.index,
            )
            for found in reversed(result.detections)
        ],
    )


def deviation(actual: Arrays, expected: Arrays) -> float:
    """How far apart, matched by label and overlap; see ``service.detections.deviation``."""
    return detections.deviation(actual, expected)


def _slots(manifest: Manifest) -> Dimension:
    """How many slots a variant's boxes have, so that all tensors can be asked for as many."""
    shape = shape_of(manifest, "main", "boxes")
    return shape[1] if len(shape) == 3 else "D"
