"""A folder of pictures with captions, in any of the forms we read."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from training.data.captioned import (
    CaptionedSet,
    Form,
    Parts,
    check_apart,
    first_of,
    split_captioned,
)
from training.data.coco_captions import read_coco_captions
from training.data.errors import DataError
from training.data.flickr8k import PICTURES, is_flickr8k, read_flickr8k
from training.data.karpathy import PICTURES as FLICKR30K
from training.data.karpathy import find_karpathy, read_karpathy
from training.data.listing import PARTS, is_hidden
from training.data.own_captions import has_captions, read_own_captions

_Read = Callable[[], dict[str, CaptionedSet]]
_COCO = re.compile(rf"captions_(({'|'.join(PARTS)})\d*)\.json")
_LOOKED_FOR = (
    "captions.csv, captions.jsonl or captions.txt (your own pictures; perhaps one each in train, "
    "val and test), Flickr_8k.trainImages.txt (Flickr8k), dataset_flickr8k.json (Karpathy) or "
    "annotations/captions_train*.json (COCO)"
)


def open_captions(data: Path, held_out: float = 0.1, test: float = 0.1, seed: int = 0) -> Parts:
    """Read a folder of pictures with captions, and divide what does not divide itself.

    Known are:

    - Flickr8k, see ``read_flickr8k``;
    - Karpathy's ``dataset_flickr8k.json``, ``dataset_flickr30k.json`` or ``dataset_coco.json``,
      with the pictures where Flickr8k has them, or in the folders that COCO's file names;
    - COCO: ``captions_{train,val,test}*.json`` in ``annotations`` or directly in the folder,
      pictures in ``train2017``, ``images/train2017``, ``images/train``, ``train`` or ``images``;
    - your own, see ``read_own_captions``;
    - a folder that holds one such folder.

    Args:
        data: the folder.
        held_out: share of the pictures to choose by, where the set has no such part.
        test: share of the pictures to measure on, where the set has no such part.
        seed: of the choice of these.

    Raises:
        DataError: the folder has none of these forms or cannot be read, a picture is in two parts,
            or there are too few.
    """
    if data.is_file():
        raise DataError(f"{data} is a file; name the folder that holds it and the pictures")
    if not data.is_dir():
        raise DataError(f"{data} is not a folder")
    folder = _locate(data)
    if is_flickr8k(folder):
        return read_flickr8k(folder)
    form, read = _reader(folder) or _none(folder)
    parts = read()
    if "train" not in parts:
        raise DataError(f"{folder} has a part {min(parts)}, but none to learn from, called train")
    check_apart(parts, folder)
    for part, captioned in parts.items():
        if not captioned.items:
            first = first_of(captioned.faults or parts["train"].faults)
            raise DataError(f"{folder}: no picture with a caption is left for {part}{first}")
    for share, part in ((test, "test"), (held_out, "val")):
        if part not in parts:
            parts["train"], parts[part] = split_captioned(parts["train"], share, seed)
    return Parts(parts["train"], parts["val"], parts["test"], form)


def _locate(folder: Path) -> Path:
    """The folder itself if it is a set, else the one in it that is."""
    if _is_set(folder):
        return folder
    folders = (path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path))
    below = [path for path in folders if _is_set(path)]
    if len(below) > 1:
        names = ", ".join(path.name for path in below)
        raise DataError(f"{folder} holds several sets; name one of them: {names}")
    return below[0] if below else folder


def _is_set(folder: Path) -> bool:
    return is_flickr8k(folder) or _reader(folder) is not None


def _none(folder: Path) -> tuple[Form, _Read]:
    raise DataError(f"{folder} has no captions in a form that is read: there is no {_LOOKED_FOR}")


def _reader(folder: Path) -> tuple[Form, _Read] | None:
    """The form of a set other than Flickr8k, and what reads it; ``None`` if the folder is none."""
    if (path := find_karpathy(folder)) is not None:
        names = (*PICTURES, *FLICKR30K)
        below = [folder / name for name in names if (folder / name).is_dir()]
        return "karpathy", partial(read_karpathy, path, [folder, *below])
    if files := _coco(folder):
        return "coco", partial(_read_coco, folder, files)
    if has_captions(folder):
        return "own", partial(read_own_captions, folder)
    return None


def _coco(folder: Path) -> dict[str, Path]:
    """The file of each part."""
    files: dict[str, Path] = {}
    for path in sorted([*folder.glob("annotations/*.json"), *folder.glob("*.json")]):
        if match := _COCO.fullmatch(path.name):
            other = files.setdefault(PARTS[match[2]], path)
            if other != path:
                raise DataError(
                    f"{folder} has several captions for {PARTS[match[2]]}; keep one of "
                    f"{other.name}, {path.name}"
                )
    return files


def _read_coco(folder: Path, files: dict[str, Path]) -> dict[str, CaptionedSet]:
    parts = {}
    for part, path in files.items():
        stem = path.stem.removeprefix("captions_")
        word = stem.rstrip("0123456789")
        names = tuple(dict.fromkeys((stem, f"images/{stem}", f"images/{word}", word, "images")))
        pictures = next((folder / name for name in names if (folder / name).is_dir()), None)
        if pictures is None:
            raise DataError(
                f"{folder} must hold the pictures of {path.name} in {names[0]}, "
                f"{', '.join(names[1:-1])} or {names[-1]}"
            )
        parts[part] = read_coco_captions(path, pictures)
    return parts
