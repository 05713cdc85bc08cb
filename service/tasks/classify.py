"""Classification: which of the model's labels a picture shows."""

from collections.abc import Mapping
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, Field

from service import task
from service.contract import Manifest, require_tensor
from service.errors import InferenceError, ManifestError
from service.golden import tensorwise
from service.images import Picture
from service.resize import fit
from service.session import Arrays
from service.task import Answered, Inferred, Prepared

NAME: Final = "classify"


class Params(task.Params):
    """Query parameters of ``/classify``."""

    top_k: Annotated[int, Field(ge=1, le=1000)] = Field(
        5, description="Most predictions to return; fewer if the model has fewer labels."
    )
    threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Leave out predictions with a lower score."
    )


class Prediction(BaseModel):
    """One label and how sure the model is of it."""

    label: str
    index: int = Field(description="Position of the label in the model's list, from 0.")
    score: float = Field(description="Softmax probability, 0 to 1.")


class Result(Answered):
    """The answer to one picture, most likely label first."""

    predictions: list[Prediction]


def check(manifest: Manifest, assets: Mapping[str, bytes]) -> None:  # noqa: ARG001
    """Ask for ``images: uint8[N,H,W,3]`` -> ``logits: float32[N,C]`` and C labels.

    Raises:
        ManifestError: names the field that is wrong.
    """
    geometry = manifest.input
    require_tensor(manifest, "main", "images", "uint8", ("N", geometry.height, geometry.width, 3))
    require_tensor(manifest, "main", "logits", "float32", ("N", len(manifest.labels)))
    if not manifest.labels:
        raise ManifestError(f"model {manifest.name!r}: labels: a classifier needs at least one")


def prepare(picture: Picture, manifest: Manifest, params: Params) -> Prepared:  # noqa: ARG001
    """Resize the picture to ``images: uint8[H,W,3]``."""
    images, placement = fit(picture, manifest.input)
    return Prepared({"images": images}, placement)


def finish(inferred: Inferred, params: Params) -> Result:
    """Softmax the logits, keep the best ``top_k`` at or above ``threshold``.

    Raises:
        InferenceError: a logit is not finite.
    """
    logits = inferred.outputs["logits"].astype(np.float64)
    if not np.isfinite(logits).all():
        raise InferenceError("the model's output for this picture is not finite")
    exponentials = np.exp(logits - logits.max())
    scores = exponentials / exponentials.sum()
    top_k = min(params.top_k, scores.size)
    least = np.partition(scores, -top_k)[-top_k]
    best = np.flatnonzero(scores >= least)  # more than top_k where scores tie; the first win
    best = best[np.argsort(-scores[best], kind="stable")][:top_k]
    labels = inferred.manifest.labels
    predictions = [
        Prediction(label=labels[index], index=index, score=round(score, 6))
        for index, score in zip(best.tolist(), scores[best].tolist(), strict=True)
        if score >= params.threshold
    ]
    return Result(**inferred.common, predictions=predictions)


def deviation(actual: Arrays, expected: Arrays) -> float:
    """The largest difference of a logit."""
    return tensorwise(actual, expected)
