"""The pictures that all variations of an ablation share."""

from dataclasses import dataclass

from training.data.labelled import Labelled, split

#: The parts of a set are the same for every variation and seed.
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Pictures:
    """What every variation is trained and measured on.

    Attributes:
        dataset: its name.
        train: to learn from.
        probe: those of ``train`` the training error is measured on, as many as ``held_out``.
        held_out: to choose the best epoch by.
        test: to measure on, once.
    """

    dataset: str
    train: Labelled
    probe: Labelled
    held_out: Labelled
    test: Labelled


def divide(
    dataset: str, train: Labelled, test: Labelled, held_out: float, pictures: int | None
) -> Pictures:
    """Hold out a share of the training pictures, and keep so many of the rest to learn from.

    Both are taken from every class alike, so there may be a few pictures more or fewer.

    Args:
        dataset: its name.
        train: the training pictures.
        test: the test pictures.
        held_out: share of ``train``, between 0 and 1.
        pictures: how many to learn from; all that are left if there are no more, or if left out.
    """
    rest, held = split(train, held_out, _SPLIT_SEED)
    learned = rest if pictures is None else _some(rest, pictures)
    return Pictures(dataset, learned, _some(learned, len(held)), held, test)


def _some(labelled: Labelled, pictures: int) -> Labelled:
    if pictures >= len(labelled):
        return labelled
    return split(labelled, pictures / len(labelled), _SPLIT_SEED)[1]
