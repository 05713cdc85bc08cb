"""A captioner's vocabulary and the sentences written with it."""

import pytest
from fabricate import vocabulary
from hypothesis import example, given
from hypothesis import strategies as st

from service.vocabulary import END, UNKNOWN, read_vocabulary, sentence

SPECIAL = ("<end>", "<unk>")


@pytest.mark.parametrize(
    "words",
    [("a",), ("a", "dog", "'s", "BMX", "t-shirt"), ("brésilien", "犬", "1990s", "<start>")],
)
def test_words_are_read_by_their_positions(words: tuple[str, ...]) -> None:
    read = read_vocabulary(vocabulary(*SPECIAL, *words))
    assert read == (*SPECIAL, *words)
    assert (read[END], read[UNKNOWN]) == SPECIAL


def test_a_file_is_read_once() -> None:
    content = vocabulary(*SPECIAL, "once")
    assert read_vocabulary(content) is read_vocabulary(bytes(bytearray(content)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not end with a line end"),
        (b"<end>\n<unk>\na", "does not end with a line end"),
        (b"<end>\n<unk>\n\xff\n", "no text in UTF-8 .* at byte 12"),
        (b"\n", "must begin with the lines <end> and <unk>"),
        (b"<end>\n", "must begin"),
        (b"<unk>\n<end>\na\n", "must begin"),
        (b"\xef\xbb\xbf<end>\n<unk>\na\n", "must begin"),
        (b"<end>\r\n<unk>\r\na\r\n", "must begin"),
        (b"<end>\n<unk>\n", "has no words"),
        (b"<end>\n<unk>\na\n\nb\n", "line 4 is no word: ''"),
        (b"<end>\n<unk>\na\n\n", "line 4 is no word: ''"),
        (b"<end>\n<unk>\na b\n", "line 3 is no word: 'a b'"),
        (b"<end>\n<unk>\n a\n", "line 3 is no word: ' a'"),
        (b"<end>\n<unk>\na\r\n", r"line 3 is no word: 'a\\r'"),
        (b"<end>\n<unk>\na\x00\n", r"line 3 is no word: 'a\\x00'"),
        (b"<end>\n<unk>\nbmx\na\nBMX\n", "lines 3 and 5 are the same word, 'BMX'"),
        (b"<end>\n<unk>\na\n<END>\n", "lines 1 and 4 are the same word"),
    ],
)
def test_what_is_no_vocabulary_is_refused_and_told_why(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_vocabulary(content)


@given(st.binary() | st.lists(st.text(), max_size=5).map(lambda words: vocabulary(*words)))
@example(b"\xc4\xb0\n")  # an upper-case letter of two lower-case ones
def test_any_bytes_are_a_vocabulary_or_refused(tail: bytes) -> None:
    content = vocabulary(*SPECIAL, "a") + tail
    try:
        words = read_vocabulary(content)
    except ValueError:
        return
    assert vocabulary(*words) == content
    assert len({word.lower() for word in words}) == len(words)


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("a dog runs", "A dog runs."),
        ("dogs", "Dogs."),
        ("a man 's t-shirt", "A man's t-shirt."),
        ("two dogs ' toys", "Two dogs' toys."),
        ("a boy on a BMX", "A boy on a BMX."),
        ("BMX bikes", "BMX bikes."),
        ("i see what i 'm holding", "I see what I'm holding."),
        ("an ice cream", "An ice cream."),
        ("'s dog", "'s dog."),
        ("3 dogs", "3 dogs."),
        ("élan", "Élan."),
        ("a man in the u.s.", "A man in the u.s."),
    ],
)
def test_words_become_a_sentence(words: str, written: str) -> None:
    assert sentence(words.split()) == written
