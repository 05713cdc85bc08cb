"""Which pictures a command line means, where answers go, and what is never overwritten."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from service import asking
from service.__main__ import main
from service.client import Style
from service.client.command import run
from service.client.flags import parse
from service.client.lines import columns, printable
from service.client.many import progress
from service.client.places import PlacesError, sources, targets, write


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures that is the one worked in."""
    for name in ("a.jpg", "b.PNG", "notes.txt", "more/a.jpg", "more/c.gif", "boxed/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*words: str, out: Path | None = None) -> list[str]:
    return [source.name for source in sources(words, out)]


def placed(*words: str, out: str, wanted: str | None = None) -> list[str]:
    return [str(path) for path in targets(sources(words), out, wanted, ())[0]]  # type: ignore[arg-type]


def test_files_folders_patterns_and_standard_input_name_pictures(photos: Path) -> None:
    assert names("b.PNG", "a.jpg", "b.PNG") == ["b.PNG", "a.jpg"]
    assert names(".") == ["a.jpg", "b.PNG", "boxed/a.jpg", "more/a.jpg", "more/c.gif"]
    assert names(".", out=Path("boxed")) == ["a.jpg", "b.PNG", "more/a.jpg", "more/c.gif"]
    assert names("*.[jt]*", "-") == ["a.jpg", "notes.txt", "stdin"]
    assert names("**/*.gif") == ["more/c.gif"]
    assert names("missing.jpg") == ["missing.jpg"]  # whoever opens it will say so
    (photos / "[x]*.jpg").write_bytes(b"x")
    assert names("[x]*.jpg") == ["[x]*.jpg"]
    (photos / "empty").mkdir()
    for word in ("empty", "*.tiff"):
        with pytest.raises(PlacesError, match="no picture in"):
            sources(["a.jpg", word])


def test_answers_lie_below_the_folder_under_their_pictures_names(photos: Path) -> None:
    assert placed("a.jpg", "b.PNG", out="new") == ["new/a.jpg", "new/b.PNG.jpg"]
    assert placed("b.PNG", "more/c.gif", out="new", wanted="png") == ["new/b.PNG", "new/c.gif.png"]
    assert placed("more", out="new") == ["new/a.jpg", "new/c.gif.jpg"]
    assert placed("a.jpg", out="new") == ["new/a.jpg"]
    assert placed("a.jpg", out="new.png/") == ["new.png/a.jpg"]
    assert targets(sources(["a.jpg"]), "new/x.webp", None) == ([Path("new/x.webp")], "webp")
    assert placed("-", out="new") == ["new/stdin.jpg"]


@pytest.mark.parametrize(
    ("words", "out", "wanted", "reason"),
    [
        (["a.jpg"], "a.jpg", None, "never overwritten"),
        (["a.jpg"], "more/../a.jpg", None, "never overwritten"),
        (["a.jpg"], "linked.jpg", None, "never overwritten"),
        (["a.jpg", "b.PNG"], ".", None, "never overwritten"),
        (["a.jpg"], "style.jpg", None, "never overwritten"),
        (["."], "boxed/..", None, "never overwritten"),
        (["a.jpg", "more/a.jpg"], "new", None, "answer to a.jpg and to more/a.jpg"),
        (["a.jpg"], "new.jpg", "png", "does not end like"),
        (["a.jpg"], "notes.txt", None, "is no folder"),
        (["a.jpg", "b.PNG"], "notes.txt", None, "is no folder"),
    ],
)
def test_places_that_cannot_be_meant_are_refused(
    photos: Path, words: list[str], out: str, wanted: str | None, reason: str
) -> None:
    (photos / "linked.jpg").symlink_to("a.jpg")
    (photos / "style.jpg").write_bytes(b"x")
    with pytest.raises(PlacesError, match=reason):
        targets(sources(words), out, wanted, [Path("style.jpg")])  # type: ignore[arg-type]


def test_a_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new/below/a.jpg"
    write(target, b"first")
    write(target, b"second")
    assert target.read_bytes() == b"second"

    def fail(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        write(target, b"third")
    assert target.read_bytes() == b"second"
    assert os.listdir(target.parent) == ["a.jpg"]


def test_styles_are_files_or_presets_with_weights(photos: Path) -> None:
    (photos / "odd:2").write_bytes(b"x")
    words = ["a.jpg", "wave", "fire:0.25", "more/a.jpg:.5", "odd:2", "odd:2:3"]
    flags = [flag for word in words for flag in ("--style", word)]
    parsed = parse(["stylize", "b.PNG", "--out", "new", *flags])
    assert parsed.styles == [
        Style(Path("a.jpg")),
        Style("wave"),
        Style("fire", 0.25),
        Style(Path("more/a.jpg"), 0.5),
        Style(Path("odd:2")),
        Style(Path("odd:2"), 3.0),
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["stylize", "a.jpg", "--style", "wave"], "required: -o/--out"),
        (["stylize", "a.jpg", "-o", "x.jpg"], "required: --style"),
        (["stylize", "a.jpg", "-o", "x.jpg", "--style", "gone.jpg"], "there is no file gone.jpg"),
        (["stylize", "a.jpg", "-o", "x.jpg", "--style", "wave:-1"], "not from 0 to 9999"),
        (["stylize", "a.jpg", "-o", "x.jpg", "--style", "wave:nan"], "not from 0 to 9999"),
        (["detect", "a.jpg", "--format", "png"], "say where to, --out"),
        (["segment", "a.jpg", "--mask", "rle"], "--mask is for --json"),
        (["classify", "a.jpg", "--jobs", "0"], "invalid number of jobs"),
        (["classify", "a.jpg", "--timeout-s", "inf"], "invalid positive number"),
        (["classify", "a.jpg", "--out", "x"], "unrecognized arguments"),
        (["caption", "a.jpg", "--retries", "-1"], "invalid count"),
        (["caption"], "required: PICTURE"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(
    photos: Path, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(words)
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("task", asking.COMMANDS)
def test_every_command_explains_itself_with_examples_that_parse(
    task: str,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([task, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: sightline {task} ")
    for name in ("wave.jpg", "art.jpg"):
        (photos / name).write_bytes(b"x")
    examples = [
        line.split(f"sightline {task} ")[1]
        for line in text.splitlines()
        if f" sightline {task} " in line and not line.startswith("usage")
    ]
    assert len(examples) >= 2
    for example in examples:
        assert parse([task, *example.split("#")[0].split(">")[0].split()]).pictures


def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("service.client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert main(["classify", "a.jpg"]) == 1
    told = capsys.readouterr().err
    assert "classify needs httpx, which is not installed" in told
    assert "pip install '.[client]'" in told


def test_without_rich_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with progress(2) as advance:
        advance()


def test_a_place_that_is_wrong_is_told_before_anything_is_asked(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", "a.jpg", "--out", "a.jpg"]) == 2
    assert "a.jpg is one of the pictures, which are never overwritten" in capsys.readouterr().err
    assert main(["classify", "a.jpg", "--url", "ftp://there"]) == 2
    assert "no URL of a service" in capsys.readouterr().err


def test_lines_stand_in_columns_and_do_nothing_to_a_terminal() -> None:
    assert columns([("a", "1"), ("long", "2")]) == ["a     1", "long  2"]
    assert columns([]) == []
    assert printable("caf\u00e9 \x1b[2J\n") == "caf\u00e9 \ufffd[2J\ufffd"
