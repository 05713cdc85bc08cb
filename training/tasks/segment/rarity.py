"""What is rare in a set of masks counts for more: pixels in the loss, pictures in the draw."""

import numpy as np
from numpy.typing import NDArray


def class_weights(pixels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """What a pixel of each class counts: median frequency balancing, as SegNet's paper has it.

    A class's frequency is its share of the pixels of the pictures that show it; its weight is the
    median of all frequencies over its own (Eigen and Fergus, 2015,
    https://arxiv.org/abs/1411.4734), here to a power, and such that a pixel of the set counts 1 in
    the mean.

    Args:
        pixels: ``int64[N, C]``, pixels of each class in each picture.
        power: 0 makes all alike, 1 is the paper's.

    Returns:
        ``float64[C]``; 1 for a class that no picture shows.
    """
    of_class = pixels.sum(0)
    shown = of_class > 0
    if not shown.any():
        return np.ones(pixels.shape[1])
    where_shown = (pixels.sum(1)[:, None] * (pixels > 0)).sum(0)
    frequency = np.where(shown, of_class / np.maximum(where_shown, 1), 1.0)
    weights = np.where(shown, (np.median(frequency[shown]) / frequency) ** power, 1.0)
    mean = float((weights * of_class).sum() / of_class.sum())
    return np.where(shown, weights / mean, 1.0)


def picture_weights(
    pixels: NDArray[np.int64], power: float, background: int | None
) -> NDArray[np.float64]:
    """How likely each picture is to be drawn, by the rarest class it shows.

    Args:
        pixels: ``int64[N, C]``, pixels of each class in each picture.
        power: 0 makes all alike, 1 would show every class equally often if pictures showed one.
        background: a class that does not count, if there is one.

    Returns:
        ``float64[N]``, above 0, of no particular sum.
    """
    shows = pixels > 0
    if background is not None:
        shows = np.delete(shows, background, axis=1)
    pictures = shows.sum(0)
    most = max(int(pictures.max(initial=1)), 1)
    rarity = (most / np.maximum(pictures, 1)) ** power
    weights: NDArray[np.float64] = np.where(shows, rarity, 1.0).max(axis=1, initial=1.0)
    return weights
