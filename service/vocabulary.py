"""A captioner's words, and sentences written with them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

END: Final = 0
"""The position that ends a caption."""
UNKNOWN: Final = 1
"""The position that stands for a word that is not known."""

_SPECIAL = ("<end>", "<unk>")


@lru_cache(maxsize=64)
def read_vocabulary(content: bytes) -> tuple[str, ...]:
    r"""The words of a vocabulary file by their positions.

    Args:
        content: UTF-8, one word a line, each line ended by ``\n``; ``<end>`` and ``<unk>`` come
            first. A word is in the case it has within a sentence.

    Raises:
        ValueError: it is not so, or two words are the same but for their case; names the line.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no text in UTF-8 ({error.reason} at byte {error.start})") from error
    if not text.endswith("\n"):
        raise ValueError("does not end with a line end, so it is not whole")
    words = tuple(text[:-1].split("\n"))
    if words[: len(_SPECIAL)] != _SPECIAL:
        raise ValueError(f"must begin with the lines {' and '.join(_SPECIAL)}")
    if len(words) == len(_SPECIAL):
        raise ValueError("has no words")
    lines: dict[str, int] = {}
    for line, word in enumerate(words, 1):
        if not word or word.split() != [word] or not word.isprintable():
            raise ValueError(f"line {line} is no word: {word!r}")
        if (earlier := lines.setdefault(word.lower(), line)) != line:
            raise ValueError(f"lines {earlier} and {line} are the same word, {word!r}")
    return words


def sentence(words: Sequence[str]) -> str:
    """Words as a sentence: its beginning and "I" in upper case, a full stop at its end.

    A word that begins with an apostrophe follows the one before it without a space.
    """
    spaced = [
        word if word.startswith("'") or not place else f" {word}"
        for place, word in enumerate("I" if word == "i" else word for word in words)
    ]
    text = "".join(spaced)
    return f"{text[:1].capitalize()}{text[1:].removesuffix('.')}."
