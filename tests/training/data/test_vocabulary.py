import pytest

from training.data.errors import DataError
from training.data.vocabulary import END, UNKNOWN, Vocabulary


def of(*captions: str, min_count: int = 1) -> Vocabulary:
    return Vocabulary.of(captions, min_count)


def test_words_that_are_frequent_come_first_and_rare_ones_not_at_all() -> None:
    vocabulary = of("a cat", "a dog and a cat", "a dog, a cow", min_count=2)
    assert vocabulary.words == ("<end>", "<unk>", "a", "cat", "dog")
    assert len(vocabulary) == 5
    assert vocabulary.words[END] == "<end>"
    assert vocabulary.words[UNKNOWN] == "<unk>"
    with pytest.raises(DataError, match="none of the 2 words in the captions is there 5 times"):
        Vocabulary.of(["a cat"])


def test_a_word_is_written_as_it_is_most_often_within_a_sentence() -> None:
    words = of(
        "Dogs on a BMX . Dogs run ! Dogs",
        "A bmx and a BMX",
        "Two Dogs and dogs",
        "Rex sees MIAMI and Miami",
        "Zebras?",
    ).words
    written = {word.lower(): word for word in words}
    assert written["bmx"] == "BMX"
    assert written["dogs"] == "dogs"  # as often "Dogs"
    assert written["zebras"] == "zebras"
    assert written["rex"] == "rex"
    assert written["miami"] == "Miami"  # as often "MIAMI", but then the later one
    assert written["two"] == "two"


def test_captions_become_numbers_and_numbers_words() -> None:
    vocabulary = of("The man's BMX", "a BMX")
    numbers = vocabulary.encode("the Bmx, a Man 's zebra")
    assert numbers == [vocabulary.words.index(w) for w in ("the", "BMX", "a", "man", "'s")] + [1]
    assert vocabulary.decode([*numbers, END, 3]) == ["the", "bmx", "a", "man", "'s"]
    assert vocabulary.decode([]) == []
    with pytest.raises(IndexError):
        vocabulary.decode([len(vocabulary)])


def test_what_is_written_is_read() -> None:
    vocabulary = of("a T-shirt and a \u00c9clair, the \u00c9clair")
    assert vocabulary.written().startswith(b"<end>\n<unk>\na\n")
    assert b"\r" not in vocabulary.written()
    assert Vocabulary.read(vocabulary.written()) == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends within a line"),
        (b"<end>\n<unk>\nfro", "ends within a line"),
        (b"<unk>\n<end>\na\n", "must begin with <end> and <unk>"),
        (b"<end>\n<unk>\n\xff\n", "UTF-8"),
        (b"<end>\n<unk>\na\nb\nA\n", "has 'a' twice"),
        (b"<end>\n<unk>\na\n\n", "line 4 of the vocabulary is no word: ''"),
        (b"<end>\n<unk>\na b\n", "line 3 of the vocabulary is no word: 'a b'"),
        (b"<end>\n<unk>\na\x07\n", "line 3 of the vocabulary is no word"),
        (b"<end>\r\n<unk>\r\na\r\n", "must begin with"),
    ],
)
def test_what_is_no_vocabulary_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vocabulary.read(content)
