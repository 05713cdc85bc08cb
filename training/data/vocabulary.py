"""The words that captions are written with, each with its number."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from service.vocabulary import END, UNKNOWN
from training.data.errors import DataError
from training.data.words import lowered, tokenise

__all__ = ["END", "UNKNOWN", "Vocabulary"]

_SPECIAL = ("<end>", "<unk>")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")


@dataclass(frozen=True)
class Vocabulary:
    """Words by their numbers.

    Attributes:
        words: ``<end>``, ``<unk>`` and the others in the case they are written within a sentence;
            all different in lower case.

    Raises:
        DataError: the words are not so.
    """

    words: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)
    _lower: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.words[: len(_SPECIAL)] != _SPECIAL:
            raise DataError(f"a vocabulary must begin with {' and '.join(_SPECIAL)}")
        for number, word in enumerate(self.words):
            if not word or word.split() != [word] or not word.isprintable():
                raise DataError(f"line {number + 1} of the vocabulary is no word: {word!r}")
        lower = tuple(word.lower() for word in self.words)
        twice = [word for word, count in Counter(lower).items() if count > 1]
        if twice:
            raise DataError(f"the vocabulary has {twice[0]!r} twice")
        object.__setattr__(self, "_lower", lower)
        object.__setattr__(self, "_numbers", {word: at for at, word in enumerate(lower)})

    @classmethod
    def of(cls, captions: Iterable[str], min_count: int = 5) -> Self:
        """The words of captions, the most frequent first and those as frequent in their order.

        A word has the case that it is most often written in where it does not begin a sentence;
        one that is seen there only is in lower case.

        Args:
            captions: to learn from.
            min_count: how often a word must be there.

        Raises:
            DataError: no word is there so often.
        """
        counts: Counter[str] = Counter()
        forms: dict[str, Counter[str]] = {}
        for caption in captions:
            for sentence in _SENTENCE_END.split(caption):
                for place, word in enumerate(tokenise(sentence)):
                    lower = word.lower()
                    counts[lower] += 1
                    if place:
                        forms.setdefault(lower, Counter())[word] += 1
        kept = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        if not kept:
            raise DataError(
                f"none of the {len(counts)} words in the captions is there {min_count} times: give "
                "more captions or a smaller min_count; words are what spaces and punctuation part"
            )
        return cls((*_SPECIAL, *(_usual(word, forms.get(word)) for _, word in kept)))

    @classmethod
    def read(cls, content: bytes) -> Self:
        """What ``written`` gave.

        Raises:
            DataError: the bytes are no vocabulary.
        """
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError("the vocabulary is no text in UTF-8") from error
        if not text.endswith("\n"):
            raise DataError("the vocabulary ends within a line: it is not whole")
        return cls(tuple(text[:-1].split("\n")))

    def written(self) -> bytes:
        """The words in UTF-8, one a line."""
        return "".join(f"{word}\n" for word in self.words).encode()

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, caption: str) -> list[int]:
        """The numbers of a caption's words, ``UNKNOWN`` for those that are not here; no end."""
        return [self._numbers.get(word, UNKNOWN) for word in lowered(caption)]

    def decode(self, tokens: Iterable[int]) -> list[str]:
        """The words of numbers before the first ``END``, in lower case, without unknown ones.

        Raises:
            IndexError: there is no word of a number.
        """
        words = []
        for token in tokens:
            if token == END:
                break
            if token != UNKNOWN:
                words.append(self._lower[token])
        return words


def _usual(word: str, forms: Counter[str] | None) -> str:
    """The form seen most often, of those seen as often the one in lower case."""
    if not forms:
        return word
    return max(forms, key=lambda form: (forms[form], form == word, form))
