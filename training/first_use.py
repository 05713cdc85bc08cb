"""Hashes of files that nobody told a hash for: remembered when first fetched, demanded ever after.

A locator may carry its hash, ``pypi:package==1.0#file?sha256=<64 digits>``. One that does not is
trusted once, as ``ssh`` trusts an unknown host: the cache keeps what hash the file had, so a file
that is later replaced at its source, or damaged, is noticed.
"""

import hashlib
import json
import re
from pathlib import Path

_PIN = "?sha256="


def split_pin(locator: str) -> tuple[str, str | None]:
    """A locator and the hash it carries, or ``None``.

    Raises:
        ValueError: what it carries is no sha256.
    """
    bare, separator, pin = locator.partition(_PIN)
    if not separator:
        return locator, None
    if not re.fullmatch(r"[0-9a-f]{64}", pin):
        raise ValueError(f"{locator}: a sha256 is 64 hexadecimal digits, not {pin!r}")
    return bare, pin


def recall(locator: str, cache: Path) -> str | None:
    """The sha256 that a locator's file had when it was first fetched."""
    try:
        note = json.loads(_note(locator, cache).read_text())
    except FileNotFoundError:
        return None
    sha256: str = note["sha256"]
    return sha256


def remember(locator: str, sha256: str, cache: Path) -> None:
    """Demand this hash from now on."""
    note = _note(locator, cache)
    new = note.with_suffix(".new")
    new.write_text(json.dumps({"locator": locator, "sha256": sha256}, indent=2) + "\n")
    new.replace(note)


def _note(locator: str, cache: Path) -> Path:
    return cache / f"{hashlib.sha256(locator.encode()).hexdigest()[:16]}.origin.json"
