import json
from pathlib import Path

import pytest

from tests.training.caption_sets import write_text
from training.data.caption_tables import Table, read_table
from training.data.errors import DataError


def read(folder: Path, text: str, name: str = "captions.csv") -> Table:
    return read_table(write_text(folder / name, text))


def told(table: Table) -> list[tuple[str, ...]]:
    return [(row.image, row.caption, row.split) for row in table.rows]


@pytest.mark.parametrize(
    "text",
    [
        "image,caption\na.jpg,A dog .\nb.png,Two\n",
        "\ufeffimage,caption\r\na.jpg,A dog .\r\nb.png,Two\r\n",
        "\n a.jpg , A dog .\n\n\nb.png,Two",
        "a.jpg;A dog .\nb.png;Two\n",
        "a.jpg\tA dog .\nb.png\tTwo\n",
        "a.jpg#0\tA dog .\nb.png#12\tTwo\n",
        '"a.jpg","A dog ."\n"b.png","Two"\n',
        'Caption;"File_Name"\nA dog .;a.jpg\nTwo;b.png',
        "image_name| comment_number| comment\na.jpg| 0| A dog .\nb.png| 0| Two\n",
    ],
)
def test_tables_of_many_kinds_are_read(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert told(table) == [("a.jpg", "A dog .", ""), ("b.png", "Two", "")]
    assert table.faults == ()


def test_columns_have_any_order_and_a_split_is_one(tmp_path: Path) -> None:
    text = 'split,id,text,path\ntrain,7,"One, two\nthree ""four""",x\\y\\a.jpg\n,8,Five,b.jpg'
    table = read(tmp_path, text)
    assert told(table) == [
        ("x/y/a.jpg", 'One, two\nthree "four"', "train"),
        ("b.jpg", "Five", ""),
    ]
    assert [row.line for row in table.rows] == [3, 4]


@pytest.mark.parametrize("header", ["", "image,caption\n"])
@pytest.mark.parametrize(
    ("line", "caption"),
    [
        ("a.jpg,A dog , a ball , and more", "A dog , a ball , and more"),
        ('a.jpg,"A dog , a ball"', "A dog , a ball"),
        ('a.jpg,"Stop" says a sign', '"Stop" says a sign'),
        ('a.jpg,A "dog" , runs', 'A "dog" , runs'),
        ('a.jpg,"A dog', '"A dog'),
        ('a.jpg,"A ""dog"" , runs"', 'A "dog" , runs'),
    ],
)
def test_a_caption_may_hold_what_parts_it_from_the_name(
    tmp_path: Path, header: str, line: str, caption: str
) -> None:
    table = read(tmp_path, f'{header}{line}\nb.jpg,Other, "words"\nc.jpg,"Quoted"\n')
    assert told(table) == [
        ("a.jpg", caption, ""),
        ("b.jpg", 'Other, "words"', ""),
        ("c.jpg", "Quoted", ""),
    ]


def test_quotes_that_do_not_end_do_not_swallow_the_lines_below(tmp_path: Path) -> None:
    table = read(tmp_path, 'image,caption\na.jpg,"A dog\nb.jpg,Two\nc.jpg,"Three"\nd.jpg,Four"')
    assert told(table) == [
        ("a.jpg", '"A dog', ""),
        ("b.jpg", "Two", ""),
        ("c.jpg", "Three", ""),
        ("d.jpg", 'Four"', ""),
    ]


def test_lines_with_too_many_or_too_few_values_are_told_of(tmp_path: Path) -> None:
    table = read(tmp_path, "image,caption,split\na.jpg,A, B,train\nb.jpg,C,val\nc.jpg,D")
    assert told(table) == [("b.jpg", "C", "val")]
    path = tmp_path / "captions.csv"
    assert table.faults == (
        f"{path}: line 2 has 4 values, not 3; put those that hold ',' in double quotes",
        f"{path}: line 4 has 2 values, not 3; put those that hold ',' in double quotes",
    )


def test_a_number_is_part_of_a_name_if_no_suffix_is_before_it(tmp_path: Path) -> None:
    table = read(tmp_path, "image,caption\nno#1.jpg,A\nno.jpg.1#3,B\nno#1,C\n")
    assert [row.image for row in table.rows] == ["no#1.jpg", "no.jpg.1", "no#1"]


def test_lines_of_json_are_read(tmp_path: Path) -> None:
    entries = [
        {"image": "a.jpg", "caption": "A é dog", "split": "val"},
        {"file_name": "x\\b.jpg", "captions": ["B", "C"], "split": None},
        {"file_name": "c.jpg"},
        {"image": "d.jpg", "captions": ["D", 5]},
        {"caption": "E"},
        ["a.jpg", "F"],
    ]
    text = "\n\n".join(json.dumps(entry) for entry in entries)
    table = read(tmp_path, f"\ufeff{text}\r\n", "captions.jsonl")
    assert told(table) == [("a.jpg", "A é dog", "val"), ("x/b.jpg", "B", ""), ("x/b.jpg", "C", "")]
    path = tmp_path / "captions.jsonl"
    assert table.faults == tuple(
        f"{path}: line {number} must have an image and a caption, or a list captions, as text"
        for number in (5, 7, 9, 11)
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("captions.csv", "", "must begin with a line that names its columns, image,caption or"),
        ("captions.csv", "img,txt\na.jpg,A\n", "must begin with a line that names its columns"),
        ("captions.csv", "image,caption\n", "has no captions"),
        ("captions.csv", "image,caption,text\na.jpg,A,B\n", "more than one column for caption"),
        ("captions.csv", "caption,image\nA,B,a.jpg\n", "line 2 has 3 values, not 2"),
        ("captions.csv", 'caption,image\n"A"x,a.jpg\n', "line 2 is no CSV"),
        ("captions.jsonl", "\n", "has no captions"),
        ("captions.jsonl", '{"image": "a.jpg", "caption": "A"}\n{', "line 2 is no JSON"),
        ("captions.jsonl", "5\n", "line 1 must have an image and a caption"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"{name.replace('.', '[.]')}: .*{message}"):
        read(tmp_path, text, name)
