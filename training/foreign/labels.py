"""The labels of a classifier, read from a text or JSON file."""

import json
from pathlib import Path

from training.foreign.errors import ForeignFileError


def read_labels(path: Path) -> tuple[str, ...]:
    """Read one label a class, in the order of the file's outputs.

    Args:
        path: UTF-8 text with a label a line; or ``.json``, a list of labels, or an object from
            index to a label or to a list that ends with it (as ``imagenet_class_index.json``).

    Raises:
        ForeignFileError: it cannot be read, holds no label or an empty one, or its indices are not
            0, 1, 2, ...
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ForeignFileError(f"{path}: labels cannot be read ({error})") from error
    labels = _from_json(path, text) if path.suffix == ".json" else _from_lines(text)
    if not labels:
        raise ForeignFileError(f"{path}: holds no label; one a line is expected")
    for number, label in enumerate(labels, 1):
        if not label:
            raise ForeignFileError(f"{path}: label {number} of {len(labels)} is empty")
    return labels


def _from_lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.rstrip().splitlines())


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ForeignFileError(f"{path}: is not JSON ({error})") from error
    if isinstance(found, dict):
        indices = [str(index) for index in range(len(found))]
        if set(found) != set(indices):
            raise ForeignFileError(f"{path}: its keys are not the indices 0 to {len(found) - 1}")
        found = [found[index] for index in indices]
    if not isinstance(found, list):
        raise ForeignFileError(f"{path}: neither a list of labels nor an object of them")
    labels = [item[-1] if isinstance(item, list) and item else item for item in found]
    if not all(isinstance(label, str) for label in labels):
        raise ForeignFileError(f"{path}: a label is not a text")
    return tuple(label.strip() for label in labels)
