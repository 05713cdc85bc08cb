from pathlib import Path

import pytest

from training.data.errors import DataError
from training.data.texts import read_json, read_text


def test_marks_and_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffé\r\nb\rc\nd\u2028e".encode())
    assert read_text(path) == "é\nb\nc\nd\u2028e"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("é".encode("latin-1"), r"a\.txt: is no text in UTF-8; save it so"),
        ("a,b".encode("utf-16"), r"a\.txt: is no text in UTF-8; save it so"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_other_encodings_and_pointers_are_told_of(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text(path)
    with pytest.raises(DataError, match=message):
        read_json(path)


def test_json_is_read_and_what_is_none_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    assert read_json(path) == {"a": [1]}
    for content in ("{", "[" * 100_000):
        path.write_text(content)
        with pytest.raises(DataError, match=r"a\.json: is no JSON"):
            read_json(path)
    with pytest.raises(DataError, match=r"b\.json: cannot be read"):
        read_json(tmp_path / "b.json")
