"""The report of an ablation: a table, and what it says of the literature's arguments."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.tasks.classify.ablation.literature import WORKS
from training.tasks.classify.ablation.scores import LEAST_DIFFERENCE, Row, Verdict, Word, judge
from training.tasks.classify.ablation.variations import Family, Figure

COLUMNS = (
    "variation",
    "what is changed",
    "parameters",
    "train top-1 (%)",
    "test top-1 (%)",
    "difference (points)",
    "seconds",
)
_COUNTED: Mapping[Word, tuple[str, str]] = {
    "agrees": ("1 agrees", "{} agree"),
    "does not show here": ("1 does not show here", "{} do not show here"),
    "the opposite shows here": ("of 1 the opposite shows", "of {} the opposite shows"),
    "cannot be told": ("1 cannot be told", "{} cannot be told"),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """Under what the trainings of a report were made.

    Attributes:
        pictures: trained on.
        probe: of those, measured for the training figures.
        held_out: pictures the best epoch was chosen by.
        test: pictures measured on once.
        epochs: of each training.
        batch_size: pictures a batch.
        seeds: trainings of each variation.
        precision: of the arithmetic in training.
        device: what computed.
    """

    pictures: int
    probe: int
    held_out: int
    test: int
    epochs: int
    batch_size: int
    seeds: int
    precision: str
    device: str


def markdown(family: Family, rows: Sequence[Row], facts: Facts) -> str:
    """The report of a family.

    Args:
        family: what was varied.
        rows: one a variation, the baseline first.
        facts: under what.
    """
    verdicts = judged(rows)
    claims = [verdict for own in verdicts.values() for verdict in own]
    blocks = (
        f"# {family.title} on {family.dataset}, one thing changed at a time",
        _setting(facts),
        "\n".join(_table(rows)),
        "![errors of all variations](variations.png)",
        "![errors over the epochs](curves.png)",
        "## Held against the literature",
        _rule(facts),
        "\n".join(_sentence(name, verdict) for name, own in verdicts.items() for verdict in own),
        _count(claims),
        "## Works",
        "\n".join(_works(claims)),
    )
    return "\n\n".join(blocks) + "\n"


def judged(rows: Sequence[Row]) -> dict[str, list[Verdict]]:
    """What becomes of every variation's claims, by its name."""
    by_name = {row.variation.name: row for row in rows}
    return {
        name: [judge(claim, row, by_name[claim.against]) for claim in row.variation.claims]
        for name, row in by_name.items()
    }


def cells(row: Row, base: Row) -> list[str]:
    """A row's text under each of ``COLUMNS``; ``base`` is the baseline's row."""
    difference = "" if row is base else f"{base.mean('test error') - row.mean('test error'):+.2f}"
    is_told = row.values("test error") and base.values("test error")
    return [
        row.variation.name,
        row.variation.change,
        f"{row.scores[0].parameters:,}",
        _top1(row, "training error"),
        _top1(row, "test error"),
        difference if is_told else "",
        f"{row.seconds:.0f}",
    ]


def _top1(row: Row, figure: Figure) -> str:
    """Accuracy, with its spread where there are several trainings."""
    errors = row.values(figure)
    if not errors:
        return "diverged"
    spread = f" ± {row.deviation(figure):.2f}" if len(errors) > 1 else ""
    lost = f" ({row.diverged} of {len(row.scores)} diverged)" if row.diverged else ""
    return f"{100 - row.mean(figure):.2f}{spread}{lost}"


def _setting(facts: Facts) -> str:
    times = f"{facts.seeds} trainings" if facts.seeds > 1 else "One training"
    spread = "; ± is their standard deviation" if facts.seeds > 1 else ""
    return (
        f"{times} of each variation on {facts.pictures:,} pictures, {facts.epochs} epochs of "
        f"batches of {facts.batch_size}, {facts.precision} on {facts.device}{spread}. The epoch "
        f"that is best on {facts.held_out:,} held-out pictures counts. Test figures are of the "
        f"{facts.test:,} test pictures, training figures of {facts.probe:,} training pictures, "
        "without dropout or augmentation. The difference is that of the test top-1 to the first "
        "row's."
    )


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        yield f"| {' | '.join(cells(row, rows[0]))} |"


def _rule(facts: Facts) -> str:
    several = facts.seeds > 1
    least = "twice its standard error over the seeds and larger than " if several else ""
    chance = "" if several else " With one training of each such a difference may be chance."
    return (
        f"A difference counts here if it is larger than {least}{LEAST_DIFFERENCE} percentage "
        f"points.{chance} What does not show in so short a training, on so many pictures, may show "
        "in a longer one or on others. The gap is the test error less the training error."
    )


def _sentence(name: str, verdict: Verdict) -> str:
    claim = verdict.claim
    should = (
        f"about that of {claim.against}"
        if claim.expected == "same"
        else f"{claim.expected} than that of {claim.against}"
    )
    return (
        f"- **{name}: {verdict.word}.** {claim.argument[0].upper()}{claim.argument[1:]} "
        f"({WORKS[claim.source].cited}): its {claim.figure} should be {should}. {_found(verdict)}"
    )


def _found(verdict: Verdict) -> str:
    if verdict.diverged:
        return f"{' and '.join(verdict.diverged)} diverged."
    if not verdict.difference:
        return "It is the same."
    way = "higher" if verdict.difference > 0 else "lower"
    return (
        f"It is {abs(verdict.difference):.2f} points {way}, where more than "
        f"{verdict.threshold:.2f} counts."
    )


def _count(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.word for verdict in verdicts)
    parts = [
        (one if counts[word] == 1 else many).format(counts[word])
        for word, (one, many) in _COUNTED.items()
        if counts[word]
    ]
    return f"Of {len(verdicts)} expectations {', '.join(parts)}."


def _works(verdicts: Sequence[Verdict]) -> Iterator[str]:
    named = {verdict.claim.source for verdict in verdicts}
    for key, work in WORKS.items():
        if key in named:
            yield f"- {work.cited}: {work.found}"
