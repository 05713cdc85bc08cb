"""How good captions are, by how they agree with those that people wrote.

The figures are those of pycocoevalcap (https://github.com/salaniz/pycocoevalcap), the evaluation of
COCO's captions (Chen et al., 2015, https://arxiv.org/abs/1504.00325), on the words of
``training.data.words``: lower case, no punctuation. METEOR and SPICE need Java and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

Bleu = tuple[float, float, float, float]

_ORDERS = 4
_INTERVAL = (0.025, 0.975)
#: What pycocoevalcap adds to counts, so that nothing is divided by zero.
_TINY, _SMALL = 1e-15, 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """What captions are worth.

    Attributes:
        pictures: how many were measured on.
        bleu: BLEU-1 to BLEU-4 in percent (Papineni et al., 2002): of all captions together, the
            reference of the closest length counting for brevity.
        bleu4_interval: 95 % interval of BLEU-4 for another draw of as many pictures; NaN if none
            was taken.
        cider: CIDEr-D as pycocoevalcap has it, 0 to 10 (Vedantam et al., 2015,
            https://arxiv.org/abs/1411.5726); papers give a hundred times as much. Words are
            weighed by the references measured on, so it depends on how many pictures there are and
            is 0 for a single one.
        rouge_l: ROUGE-L in percent (Lin, 2004), the mean over pictures.
        each_cider: ``float64[pictures]``, CIDEr-D of each; their mean is ``cider``.
        distinct: how many different captions there are.
        vocabulary: how many different words they use.
        length: how many words a caption has, on average.
    """

    pictures: int
    bleu: Bleu
    bleu4_interval: tuple[float, float]
    cider: float
    rouge_l: float
    each_cider: NDArray[np.float64] = field(repr=False)
    distinct: int
    vocabulary: int
    length: float


def measure(
    captions: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    resamples: int = 1000,
    seed: int = 0,
) -> Quality:
    """Measure captions against those that people wrote.

    The interval is that of the percentile bootstrap over pictures (B. Efron, Bootstrap Methods:
    Another Look at the Jackknife, 1979), BLEU taken anew of all captions drawn.

    Args:
        captions: the words of each picture's caption; there may be none.
        references: the words of each picture's true captions; one at least, with words.
        resamples: draws for the interval; with none it is NaN.
        seed: of the draws.

    Raises:
        ValueError: there are no pictures, not as many captions as pictures, or a picture has no
            true caption or one without words.
    """
    if not captions or len(captions) != len(references):
        raise ValueError(f"there are {len(captions)} captions of {len(references)} pictures")
    if not all(references) or not all(all(each) for each in references):
        raise ValueError("every picture must have a true caption, and every one words")
    found = {at: [" ".join(words)] for at, words in enumerate(captions)}
    truth = {at: [" ".join(words) for words in each] for at, each in enumerate(references)}
    cider, each_cider = Cider().compute_score(truth, found)
    rouge_l, _ = Rouge().compute_score(truth, found)
    counts = _counts(truth, found)
    values = _bleu(counts.sum(0))
    return Quality(
        pictures=len(captions),
        bleu=(float(values[0]), float(values[1]), float(values[2]), float(values[3])),
        bleu4_interval=_interval(counts, resamples, seed),
        cider=float(cider),
        rouge_l=100 * float(rouge_l),
        each_cider=np.asarray(each_cider, np.float64),
        distinct=len({tuple(words) for words in captions}),
        vocabulary=len({word for words in captions for word in words}),
        length=sum(len(words) for words in captions) / len(captions),
    )


def _counts(truth: dict[int, list[str]], found: dict[int, list[str]]) -> NDArray[np.int64]:
    """What BLEU is taken of, ``int64[pictures, 10]``.

    Of each caption its length, that of the closest reference, how many n-grams it has and how many
    of them are right.
    """
    scorer = BleuScorer(n=_ORDERS)
    for at, (caption,) in found.items():
        scorer += (caption, truth[at])
    rows = []
    for of in scorer.ctest:
        closest = min(of["reflen"], key=lambda length: (abs(length - of["testlen"]), length))
        rows.append((of["testlen"], closest, *of["guess"], *of["correct"]))
    return np.array(rows, np.int64)


def _bleu(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """BLEU-1 to 4 in percent, ``float64[..., 4]`` of sums of counts ``int64[..., 10]``."""
    length, reference = counts[..., :1], counts[..., 1:2]
    guessed, right = counts[..., 2 : 2 + _ORDERS], counts[..., 2 + _ORDERS :]
    precision = (right + _TINY) / (guessed + _SMALL)
    means = np.cumprod(precision, axis=-1) ** (1 / np.arange(1, _ORDERS + 1))
    ratio = (length + _TINY) / (reference + _SMALL)
    brevity: NDArray[np.float64] = np.exp(np.minimum(0, 1 - 1 / ratio))
    return 100 * means * brevity


def _interval(counts: NDArray[np.int64], resamples: int, seed: int) -> tuple[float, float]:
    if not resamples:
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    pictures = len(counts)
    drawn = np.empty(resamples)
    for draw in range(resamples):
        times = np.bincount(random.integers(pictures, size=pictures), minlength=pictures)
        drawn[draw] = _bleu(times @ counts)[-1]
    low, high = np.quantile(drawn, _INTERVAL)
    return float(low), float(high)
