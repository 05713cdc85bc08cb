"""What a captioner learns from: pictures, or features of them, with captions in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from service.contract import InputGeometry
from training.data.captioned import CaptionedSet
from training.data.views import PLAIN, view
from training.data.vocabulary import END, Vocabulary

NOTHING = -1
"""In the place of a word that is not asked for."""


class Inputs(Protocol):
    """What a network is given of each picture."""

    def plain(self, index: int) -> Tensor:
        """Of the picture as the service prepares it."""
        ...

    def varied(self, index: int, random: np.random.Generator) -> Tensor:
        """Of one of its views, which ``random`` chooses."""
        ...


@dataclass(frozen=True)
class CachedFeatures:
    """Features computed before, ``float16[pictures, views, P, D]``; see ``feature_cache``."""

    features: NDArray[np.float16]

    def plain(self, index: int) -> Tensor:
        """``float16[P, D]`` of the picture as it is."""
        return self._of(index, PLAIN)

    def varied(self, index: int, random: np.random.Generator) -> Tensor:
        """``float16[P, D]`` of any view."""
        return self._of(index, int(random.integers(self.features.shape[1])))

    def _of(self, index: int, number: int) -> Tensor:
        return torch.from_numpy(np.array(self.features[index, number]))


@dataclass(frozen=True)
class PictureViews:
    """Pictures themselves, decoded whenever they are asked for."""

    paths: Sequence[Path]
    geometry: InputGeometry

    def plain(self, index: int) -> Tensor:
        """``uint8[H, W, 3]`` of the picture as it is."""
        return torch.tensor(view(self.paths[index], self.geometry, PLAIN, seed=0))

    def varied(self, index: int, random: np.random.Generator) -> Tensor:
        """``uint8[H, W, 3]`` of a crop."""
        seed = int(random.integers(1 << 32))
        return torch.tensor(view(self.paths[index], self.geometry, 2, seed=seed))


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One picture: its position in the set, what the network is given, and words in numbers."""

    index: int
    inputs: Tensor
    captions: list[list[int]]


class Batch(NamedTuple):
    """Several pictures.

    Attributes:
        indices: ``int64[N]``, of the pictures in their set.
        inputs: ``[N, ...]``, what the network is given of each.
        words: ``int64[N, K, L]``, of ``K`` captions of each, begun by the end of the one before.
        targets: ``int64[N, K, L]``, the word after each of ``words``, or ``NOTHING``.
    """

    indices: Tensor
    inputs: Tensor
    words: Tensor
    targets: Tensor


class CaptionExamples(Dataset[Example]):
    """The pictures of a set with captions drawn for each."""

    def __init__(
        self,
        captioned: CaptionedSet,
        inputs: Inputs,
        vocabulary: Vocabulary,
        geometry: InputGeometry,
        *,
        longest: int,
        captions: int = 5,
        seed: int = 0,
    ) -> None:
        """Put a set together.

        Args:
            captioned: pictures and captions.
            inputs: of the same pictures.
            vocabulary: that numbers the words.
            geometry: of the pictures as the network sees them.
            longest: words after which a caption is cut; the end of one that is cut is not learned.
            captions: drawn of each picture: each once where there are no more, and some twice where
                there are fewer.
            seed: of views and of the captions that are drawn, together with the epoch.
        """
        self.captioned, self.inputs = captioned, inputs
        self.vocabulary, self.geometry = vocabulary, geometry
        self._captions, self._seed, self._epoch = captions, seed, 0
        self.numbers = [
            [_numbers(vocabulary, caption, longest) for caption in item.captions]
            for item in captioned.items
        ]

    def __len__(self) -> int:
        return len(self.captioned)

    def set_epoch(self, epoch: int) -> None:
        """Draw other views and captions from here on."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> Example:
        """A varied view of a picture and the captions drawn for it.

        Raises:
            DataError: its file cannot be read or is damaged.
        """
        random = np.random.default_rng((self._seed, self._epoch, index))
        own = self.numbers[index]
        order = [at for _ in range(-(-self._captions // len(own))) for at in _shuffled(own, random)]
        chosen = [own[at] for at in order[: self._captions]]
        return Example(index, self.inputs.varied(index, random), chosen)


def collate(examples: Sequence[Example]) -> Batch:
    """Put pictures into a batch; captions end in ``NOTHING`` up to the longest."""
    longest = max(len(caption) for example in examples for caption in example.captions)
    shape = (len(examples), len(examples[0].captions), longest)
    targets = np.full(shape, NOTHING, np.int64)
    for row, example in enumerate(examples):
        for place, caption in enumerate(example.captions):
            targets[row, place, : len(caption)] = caption
    words = np.full(shape, END, np.int64)
    words[..., 1:] = np.where(targets[..., :-1] == NOTHING, END, targets[..., :-1])
    return Batch(
        torch.tensor([example.index for example in examples]),
        torch.stack([example.inputs for example in examples]),
        torch.from_numpy(words),
        torch.from_numpy(targets),
    )


def _numbers(vocabulary: Vocabulary, caption: str, longest: int) -> list[int]:
    """Of the words, and of the end unless the caption is cut."""
    words = vocabulary.encode(caption)
    return words[:longest] if len(words) > longest else [*words, END]


def _shuffled(own: Sequence[Any], random: np.random.Generator) -> list[int]:
    return [int(at) for at in random.permutation(len(own))]
