"""A classifier's scores: logits already, or probabilities whose logarithm has to be taken."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.foreign.errors import ForeignFileError
from training.foreign.source import ForeignFile

OutputKind = Literal["logits", "probabilities"]
Report = Callable[[str], None]

_SUM_TOLERANCE: Mapping[str, float] = {"float16": 1e-2}
#: Probabilities below this count as this, so that their logarithm is finite and steady: for
#: float16 the least it can say, otherwise far below anything that a sum of 1 notices.
_LEAST: Mapping[str, float] = {"float16": 2.0**-24}


def least_probability(dtype: str) -> float:
    """The probability that stands for all smaller ones, in an output of this type."""
    return _LEAST.get(dtype, 1e-10)


def check_scores(file: ForeignFile, labels: int, scores: NDArray[np.float32]) -> None:
    """Refuse scores ``float32[N,C]`` of another number than the labels, and infinite ones.

    Raises:
        ForeignFileError: see above.
    """
    path, classes = file.path, scores.shape[1]
    if classes != labels:
        raise ForeignFileError(
            f"{path}: gives {classes} scores a picture, but there are {labels} labels"
        )
    if not np.isfinite(scores).all():
        raise ForeignFileError(
            f"{path}: gives scores that are not finite; see whether mean, std and range are what "
            "it was trained with"
        )


def kind_of(
    file: ForeignFile, wanted: OutputKind | None, scores: NDArray[np.float32], report: Report
) -> OutputKind:
    """Find out what the scores are; the user's word stands, unless it cannot be true.

    Args:
        file: that gave them.
        wanted: what the user says they are.
        scores: ``float32[N,C]``, of several pictures.
        report: told what was found.

    Raises:
        ForeignFileError: they are said to be probabilities and are not.
    """
    looks = are_probabilities(scores, file.output.dtype)
    if wanted == "probabilities" and not looks:
        low, sums = scores.min(), scores.sum(axis=1)
        raise ForeignFileError(
            f"{file.path}: {file.output.name} does not hold probabilities: scores "
            f"from {low:.3g}, sums from {sums.min():.3g} to {sums.max():.3g}; leave "
            "--output-kind out"
        )
    if looks and wanted is None:
        report(
            "the scores are probabilities already (no less than 0, sum 1); their logarithm was "
            "appended, as the service takes the softmax"
        )
        return "probabilities"
    if looks and wanted == "logits":
        report("the scores look like probabilities, but are taken as logits, as you say")
    elif wanted is None and scores.min() >= 0 and scores.max() <= 1:
        report(
            "the scores lie between 0 and 1 without a sum of 1, as independent ones do; the "
            "service will take a softmax over them, which keeps their order only"
        )
    return wanted or "logits"


def are_probabilities(scores: NDArray[np.float32], dtype: str) -> bool:
    """Whether every row of ``float32[N,C]`` is non-negative and sums to 1."""
    tolerance = _SUM_TOLERANCE.get(dtype, 1e-3)
    sums = scores.sum(axis=1, dtype=np.float64)
    return bool((scores >= 0).all() and (np.abs(sums - 1) <= tolerance).all())


def to_logits(scores: NDArray[Any], kind: OutputKind, dtype: str) -> NDArray[np.float32]:
    """What the contract's ``logits`` should be: a softmax of them gives probabilities back."""
    if kind == "logits":
        return np.asarray(scores, np.float32)
    logits: NDArray[np.float32] = np.log(np.maximum(scores, np.float32(least_probability(dtype))))
    return logits
