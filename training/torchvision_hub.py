"""Where torchvision keeps its weights, and what their file names say."""

import re
from pathlib import Path
from typing import Any


def find(member: str) -> Any:
    """The record torchvision has of ``ResNet50_Weights.IMAGENET1K_V2`` and the like.

    Raises:
        ValueError: torchvision has no such weights.
    """
    import torchvision

    try:
        return torchvision.models.get_weight(member)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"torchvision has no weights {member}; they are named like ResNet50_Weights.DEFAULT"
        ) from error


def url(member: str) -> str:
    """The address of the file; errors as of :func:`find`."""
    address: str = find(member).url
    return address


def digits(member: str) -> str:
    """The first digits of the file's sha256, in which its name ends; empty if it does not."""
    told = re.search(r"-([0-9a-f]{8,64})\.\w+$", url(member))
    return told.group(1) if told else ""


def fetch(member: str, folder: Path) -> Path:
    """Download the file into a folder; the user's proxies apply.

    Raises:
        OSError: it cannot be had.
    """
    import torch

    path = folder / "weights"
    torch.hub.download_url_to_file(url(member), str(path), progress=False)
    return path
