"""What a word of a caption is: the one tokeniser that captions are trained and measured with."""

import re
import unicodedata

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u2032\u00b4\u0060\uff07"), "'")
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011"), "-")
#: Without meaning of their own: where a line may end, and how letters of some scripts join.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200c\u200d"))
#: An underscore counts as a letter to ``re``.
_PLAIN = _APOSTROPHES | _HYPHENS | _INVISIBLE | {ord("_"): " "}
#: Accents and vowel signs that are characters of their own, which are no letters to ``re``.
_MARKS = "".join(
    chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"
)
#: A letter, digit or mark.
_LETTER = rf"[\w{_MARKS}]"
#: Some sets have "man 's" and "is n't" for "man's" and "isn't"; other words may be in quotes.
_APART = re.compile(
    rf" (?<={_LETTER} )(?='(?:s|re|ve|ll|d|m|t)(?!{_LETTER})|n't(?!{_LETTER}))", re.IGNORECASE
)


#: Letters, joined by hyphens, or what follows an apostrophe. Marks alone belong to symbols.
_WORD = re.compile(rf"\w{_LETTER}*(?:-\w{_LETTER}*)*|(?<={_LETTER})'\w{_LETTER}*")
_ASCII_WORD = re.compile(r"[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*|(?<=[a-zA-Z0-9])'[a-zA-Z0-9]+")


def tokenise(text: str) -> list[str]:
    """The words of a caption, in the case they are written in.

    Text is normalised (NFKC, https://www.unicode.org/reports/tr15/), typographic apostrophes become
    plain ones. Letters and digits make words, also with hyphens between them ("t-shirt"); an
    apostrophe within a word begins another, "man's" and "man 's" are "man" and "'s". Every other
    character separates words and is dropped. Languages that are written without spaces are not
    taken apart.
    """
    is_ascii = text.isascii()  # where the same is found several times as fast
    if not is_ascii:
        text = unicodedata.normalize("NFKC", text.translate(_PLAIN))
    text = text.translate(_PLAIN)
    if "'" in text:
        text = _APART.sub("", " ".join(text.split()))
    return (_ASCII_WORD if is_ascii else _WORD).findall(text)


def lowered(text: str) -> list[str]:
    """The words of a caption in lower case, which is what is trained and measured on."""
    return [word.lower() for word in tokenise(text)]
