"""Small sets of pictures with captions, in the forms that are read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Captions = Mapping[str, Sequence[str]]
"""The captions of each picture's name."""


def write_pictures(folder: Path, names: Sequence[str], side: int = 16) -> Path:
    """Pictures of noise, all different."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng([ord(letter) for letter in str(path)])
        pixels = random.integers(0, 255, (side, side + 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def write_text(path: Path, text: str) -> Path:
    """A file as it is, bytes for bytes; the folders of its path are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def captions_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Two captions of each."""
    return {name: [f"A dog called {name[0]} .", f"{name[0]} runs ."] for name in names}


def write_flickr8k(
    folder: Path,
    parts: Mapping[str, Sequence[str]],
    texts: str = "",
    pictures: str = "Flicker8k_Dataset",
) -> Path:
    """Pictures, ``Flickr8k.token.txt`` and the lists of ``train``, ``dev`` and ``test``."""
    names = [name for listed in parts.values() for name in listed]
    write_pictures(folder / pictures, names)
    lines = [
        f"{name}#{number}\t{caption}\n"
        for name, captions in captions_of(names).items()
        for number, caption in enumerate(captions)
    ]
    write_text(folder / texts / "Flickr8k.token.txt", "".join(lines))
    for part, listed in parts.items():
        write_text(
            folder / texts / f"Flickr_8k.{part}Images.txt", "".join(f"{n}\n" for n in listed)
        )
    return folder


def coco(captions: Captions) -> dict[str, list[dict[str, Any]]]:
    """What a ``captions`` file of COCO's holds."""
    numbers = {name: 10 + at for at, name in enumerate(captions)}
    told = [(numbers[name], caption) for name, each in captions.items() for caption in each]
    return {
        "images": [{"id": number, "file_name": name} for name, number in numbers.items()],
        "annotations": [
            {"id": at, "image_id": number, "caption": caption}
            for at, (number, caption) in enumerate(told)
        ],
    }


def karpathy(captions: Captions, splits: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """What a file of Karpathy's holds."""
    return {
        "images": [
            {
                "filename": name,
                "split": splits[name],
                "sentences": [{"raw": caption, "tokens": []} for caption in each],
            }
            for name, each in captions.items()
        ]
    }


def write_json(path: Path, content: Any) -> Path:
    """A JSON file; the folders of its path are made."""
    return write_text(path, json.dumps(content))
