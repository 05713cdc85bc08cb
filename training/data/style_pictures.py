"""Photographs and paintings in pairs: one gives the content, the other the style."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from service.contract import InputGeometry
from training.data.errors import DataError
from training.data.listing import is_hidden
from training.data.pictures import SUFFIXES, prepare

#: How much larger than the crop the shorter side of a picture may be.
_LARGEST = 1.5
#: Largest side a picture is decoded at before the square is cut, in sides of the square.
_DECODED = 3


class Pair(NamedTuple):
    """A content and a style, or a batch of them.

    Attributes:
        content: ``uint8[S, S, 3]``.
        style: likewise.
        number: of the style's view, ``int64[]``.
    """

    content: Tensor
    style: Tensor
    number: Tensor


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """All picture files in some folders and in the folders within, in the order of their names.

    Raises:
        DataError: a folder is none, or holds no picture.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder")
        own = [
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file() and not is_hidden(path)
        ]
        if not own:
            raise DataError(f"{folder} holds no picture ({', '.join(SUFFIXES)})")
        found += sorted(own)
    return found


def hold_out_pictures(
    paths: Sequence[Path], share: float, seed: int
) -> tuple[list[Path], list[Path]]:
    """Divide pictures by chance, always in the same way.

    Args:
        paths: to divide.
        share: of the pictures to hold out; one of two or more at least, and never all.
        seed: of the choice.

    Returns:
        Those to learn from, in their order, and those held out, in an order of chance.
    """
    count = min(max(1, round(share * len(paths))), len(paths) - 1)
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count].tolist()
    kept = set(chosen)
    return [p for at, p in enumerate(paths) if at not in kept], [paths[at] for at in chosen]


def square(path: Path, side: int, random: np.random.Generator | None = None) -> NDArray[np.uint8]:
    """A square of a picture.

    Args:
        path: of the picture.
        side: of the square, in pixels.
        random: of which square, how large and whether mirrored. Left out, it is the largest in the
            middle.

    Returns:
        ``uint8[side, side, 3]``.

    Raises:
        DataError: the picture cannot be read or is damaged; the message names it.
    """
    zoom = 1.0 if random is None else random.uniform(1, _LARGEST)
    if random is None:
        geometry = InputGeometry(height=side, width=side, resize="shortest_side")
        return np.array(prepare(path, geometry))
    bound = _DECODED * side
    picture = prepare(path, InputGeometry(height=bound, width=bound, resize="pad_to_multiple"))
    height, width = picture.shape[:2]
    seen = min(height, width) / zoom
    left, top = random.uniform(0, width - seen), random.uniform(0, height - seen)
    crop = Image.fromarray(picture).resize(
        (side, side), Image.Resampling.BICUBIC, box=(left, top, left + seen, top + seen)
    )
    pixels = np.asarray(crop)
    return np.array(pixels[:, ::-1] if random.random() < 0.5 else pixels)


def views(paths: Sequence[Path], count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Squares of every picture: the largest in the middle, and others by chance.

    Args:
        paths: of the pictures.
        count: squares of each, next to each other in what is returned.
        side: of the squares, in pixels.
        seed: of the choice.

    Returns:
        ``uint8[len(paths) * count, side, side, 3]``.

    Raises:
        DataError: a picture cannot be read or is damaged; the message names it.
    """
    random = np.random.default_rng(seed)
    squares = [
        square(path, side, random if number else None) for path in paths for number in range(count)
    ]
    return np.stack(squares)


class StylePairs(Dataset[Pair]):
    """Pairs drawn by chance: what an epoch holds depends on the seed and its number alone."""

    def __init__(
        self,
        contents: Sequence[Path],
        styles: NDArray[np.uint8],
        side: int,
        length: int,
        seed: int,
        crop: int | None = None,
    ) -> None:
        """Draw from photographs and views of paintings.

        Args:
            contents: photographs, of which a square is cut anew whenever one is drawn.
            styles: ``uint8[V, side, side, 3]``.
            side: of the squares, in pixels.
            length: pairs of an epoch.
            seed: of the draws.
            crop: side of the part of a photograph's square that is given; all of it if left out.
        """
        self._contents, self._styles = tuple(contents), torch.from_numpy(styles)
        self._side, self._length, self._seed, self._epoch = side, length, seed, 0
        self._crop = side if crop is None else crop

    def set_epoch(self, epoch: int) -> None:
        """Draw other pairs."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Pairs of an epoch."""
        return self._length

    def __getitem__(self, index: int) -> Pair:
        """Draw a pair.

        Raises:
            DataError: the photograph cannot be read or is damaged; the message names it.
        """
        random = np.random.default_rng((self._seed, self._epoch, index))
        path = self._contents[random.integers(len(self._contents))]
        number = int(random.integers(len(self._styles)))
        content = torch.from_numpy(square(path, self._side, random))
        top, left = random.integers(self._side - self._crop + 1, size=2)
        content = content[top : top + self._crop, left : left + self._crop]
        return Pair(content, self._styles[number], torch.tensor(number))


class FixedPairs(Dataset[Pair]):
    """Each photograph with one painting, squares in the middle; paintings come again in turn."""

    def __init__(self, contents: Sequence[Path], styles: Sequence[Path], side: int) -> None:
        """Take as many pairs as there are photographs; nothing is read yet."""
        self.paths = [(path, styles[at % len(styles)]) for at, path in enumerate(contents)]
        self.side = side

    def __len__(self) -> int:
        """Pairs."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Pair:
        """A pair; its number is the index.

        Raises:
            DataError: a picture cannot be read or is damaged; the message names it.
        """
        content, style = (torch.from_numpy(square(path, self.side)) for path in self.paths[index])
        return Pair(content, style, torch.tensor(index))


def collate(pairs: Sequence[Pair]) -> Pair:
    """A batch of pairs."""
    return Pair(*(torch.stack(parts) for parts in zip(*pairs, strict=True)))
