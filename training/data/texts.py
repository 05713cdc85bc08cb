"""Text files of data sets, as people and programs save them."""

import json
from pathlib import Path
from typing import Any

from training.data.errors import DataError

_LFS = "version https://git-lfs"


def read_text(path: Path) -> str:
    r"""A text file in UTF-8, with or without a byte order mark, line ends made ``\n``.

    Raises:
        DataError: it cannot be read, is in another encoding, or only stands for a file in Git LFS.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is no text in UTF-8; save it so (in Excel as 'CSV UTF-8')"
        ) from error
    if text.startswith(_LFS):
        raise DataError(f"{path}: only stands for a file that Git LFS keeps; 'git lfs pull' it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it cannot be read or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error})") from error
