"""What the trainings of an ablation came to, and whether that agrees with the literature."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from training.tasks.classify.ablation.variations import Claim, Figure, Variation

#: Percentage points below which no difference is claimed, however small the spread of the seeds:
#: the deviation of two or three seeds is itself little known.
LEAST_DIFFERENCE = 0.2
_STANDARD_ERRORS = 2.0

Word = Literal["agrees", "does not show here", "the opposite shows here", "cannot be told"]


@dataclass(frozen=True, slots=True)
class Point:
    """Errors in percent after an epoch, counted from 1; None where nothing could be measured."""

    epoch: int
    training_error: float | None
    held_out_error: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """One training.

    Attributes:
        seed: of it.
        parameters: of the network.
        seconds: of training and of measuring after each epoch.
        curve: one point an epoch.
        training_error: in percent, of the epoch that is best on held-out pictures, on training
            pictures without dropout or augmentation; None if the training diverged.
        test_error: of the same weights on the test pictures, in percent.
        diverged: what the loop said when the loss was no number any more; empty if it never was.
    """

    seed: int
    parameters: int
    seconds: float
    curve: tuple[Point, ...]
    training_error: float | None = None
    test_error: float | None = None
    diverged: str = ""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """From what ``dataclasses.asdict`` and JSON made of one."""
        curve = tuple(Point(**point) for point in values["curve"])
        return cls(**{**values, "curve": curve})

    def of(self, figure: Figure) -> float | None:
        """A figure in percent, or percentage points for the gap; None if it diverged."""
        if self.training_error is None or self.test_error is None:
            return None
        if figure == "gap":
            return self.test_error - self.training_error
        return self.test_error if figure == "test error" else self.training_error


@dataclass(frozen=True, slots=True)
class Row:
    """A variation and its trainings, one a seed."""

    variation: Variation
    scores: Sequence[Score]

    @property
    def diverged(self) -> int:
        """How many trainings did."""
        return sum(bool(score.diverged) for score in self.scores)

    def values(self, figure: Figure) -> list[float]:
        """Of the trainings that did not diverge."""
        return [value for score in self.scores if (value := score.of(figure)) is not None]

    def mean(self, figure: Figure) -> float:
        """Over the trainings that did not diverge; not a number if all did."""
        values = self.values(figure)
        return statistics.fmean(values) if values else math.nan

    def deviation(self, figure: Figure) -> float:
        """The sample's standard deviation; 0 of a single training."""
        values = self.values(figure)
        return statistics.stdev(values) if len(values) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """Mean of a training."""
        return statistics.fmean(score.seconds for score in self.scores)

    def figures(self) -> dict[str, Any]:
        """For ``results.json``."""
        return {
            "change": self.variation.change,
            "reference": self.variation.reference,
            "seeds": [asdict(score) for score in self.scores],
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim held against the numbers.

    Attributes:
        claim: of the literature.
        difference: percentage points of the variation over what it is held against.
        threshold: beyond which a difference counts.
        word: the outcome.
        diverged: names of the variations that diverged, if the outcome rests on that.
    """

    claim: Claim
    difference: float
    threshold: float
    word: Word
    diverged: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """For ``results.json``, which has no NaN."""
        known = {} if self.diverged else {"points": self.difference, "threshold": self.threshold}
        return {**asdict(self.claim), **known, "diverged": self.diverged, "outcome": self.word}


def judge(claim: Claim, row: Row, against: Row) -> Verdict:
    """Hold a claim against two rows.

    A difference counts if it is larger than twice its standard error over the seeds and larger
    than ``LEAST_DIFFERENCE``. A variation all of whose trainings diverged counts as worse than one
    with a training that did not, in its errors; of the gap nothing can be told then.
    """
    lost = tuple(one.variation.name for one in (row, against) if not one.values(claim.figure))
    if lost:
        is_told = len(lost) == 1 and claim.figure != "gap"
        sign = math.inf if lost[0] == row.variation.name else -math.inf
        word = _word(claim, sign, 0.0) if is_told else "cannot be told"
        return Verdict(claim, math.nan, math.nan, word, lost)
    difference = row.mean(claim.figure) - against.mean(claim.figure)
    error = math.hypot(_standard_error(row, claim.figure), _standard_error(against, claim.figure))
    threshold = max(LEAST_DIFFERENCE, _STANDARD_ERRORS * error)
    return Verdict(claim, difference, threshold, _word(claim, difference, threshold))


def _standard_error(row: Row, figure: Figure) -> float:
    return row.deviation(figure) / math.sqrt(len(row.values(figure)))


def _word(claim: Claim, difference: float, threshold: float) -> Word:
    shows = abs(difference) > threshold
    if claim.expected == "same":
        return "does not show here" if shows else "agrees"
    if not shows:
        return "does not show here"
    rises = difference > 0
    return "agrees" if rises == (claim.expected == "higher") else "the opposite shows here"
