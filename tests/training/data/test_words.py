import pytest

from training.data.words import lowered, tokenise


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog , a ball.", "A dog a ball"),
        ("A T-shirt -- and - a close-up-", "A T-shirt and a close-up"),
        ("two men 's/women's", "two men 's women 's"),
        ("It isn't, it is n't and IS N'T", "It isn 't it isn 't and ISN 'T"),
        ("he said n'tall", "he said n 'tall"),
        ("'slide' the dogs' ball 'sun", "slide the dogs ball sun"),
        ("rock 'n' roll at 5 o'clock", "rock n roll at 5 o 'clock"),
        ("'s it", "s it"),
        ("a_b c/d (e) 3.5 & 7", "a b c d e 3 5 7"),
        ("", ""),
        (" ... ", ""),
    ],
)
def test_words_are_what_punctuation_and_spaces_separate(text: str, words: str) -> None:
    assert tokenise(text) == words.split()


@pytest.mark.parametrize("apostrophe", "\u2019\u2018\u02bc\u00b4\uff07`")
def test_typographic_apostrophes_are_apostrophes(apostrophe: str) -> None:
    assert tokenise(f"A man{apostrophe}s dog {apostrophe}s") == ["A", "man", "'s", "dog", "'s"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Cafe\u0301 na\u00efve", ["Caf\u00e9", "na\u00efve"]),
        ("\ufb01re \uff21\uff22", ["fire", "AB"]),
        ("t\u2011shirt and soft\u00adware", ["t-shirt", "and", "software"]),
        ("l\u2019homme \u00e0 l\u2019\u00e9cran", ["l", "'homme", "\u00e0", "l", "'\u00e9cran"]),
        ("\u0915\u0941\u0924\u094d\u0924\u093e \u0964", ["\u0915\u0941\u0924\u094d\u0924\u093e"]),
        ("\u0645\u06cc\u200c\u062e\u0648 \u062e", ["\u0645\u06cc\u062e\u0648", "\u062e"]),
        ("a \u2764\ufe0f b, 1\ufe0f\u20e3 \U0001f468\u200d\U0001f469", ["a", "b", "1\ufe0f\u20e3"]),
        ("\u201ca dog\u201d \u2013 a\u00a0ball\u2026 \U0001f415", ["a", "dog", "a", "ball"]),
    ],
)
def test_letters_of_any_language_make_words(text: str, words: list[str]) -> None:
    assert tokenise(text) == words


def test_plain_text_has_the_same_words_beside_other_letters() -> None:
    text = "A man 's T-shirt , x_y isn't 3.5 o'clock"
    assert tokenise(f"{text} \u00e9") == [*tokenise(text), "\u00e9"]


def test_lower_case_is_what_is_learned() -> None:
    assert lowered("A BMX biker's \u00c9cole") == ["a", "bmx", "biker", "'s", "\u00e9cole"]
