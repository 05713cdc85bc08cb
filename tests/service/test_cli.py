"""The command line: help, listing, checking, measuring, and its refusals."""

import logging
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import encoded
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinyStylizer

import service
from service import cli
from service.errors import GraphError
from service.settings import Settings


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command line sets logging up for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def spoil(folder: Path) -> None:
    (folder / "1/model.fp32.onnx").write_bytes(b"other")


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["models"], ["models", "list"], ["models", "check"], ["bench"]]
)
def test_every_command_explains_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["usage: sightline", *command]))
    if command and command != ["models"]:
        flat = " ".join(text.split())
        for name, field in Settings.model_fields.items():
            assert f"--{name.replace('_', '-')} " in flat
            assert " ".join(str(field.description).split()) in flat
        assert "examples:" in text


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == service.__version__


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required"),
        (["fly"], "invalid choice: 'fly'"),
        (["models"], "required: ACTION"),
        (["serve", "--surprise", "1"], "unrecognized arguments: --surprise"),
        (["serve", "--model", "pets"], "unrecognized arguments: --model pets"),
        (["serve", "--port"], "expected one argument"),
        (["bench", "--seconds", "0"], "--seconds: invalid positive number value: '0'"),
        (["bench", "--seconds", "nan"], "--seconds: invalid positive number value: 'nan'"),
        (["bench", "--seconds", "soon"], "--seconds: invalid positive number value: 'soon'"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "complaint"),
    [
        ("--port", "http", "port: Input should be a valid integer"),
        ("--port", "70000", "port: Input should be less than or equal to 65535"),
        ("--device", "gpu", "device: Input should be 'auto', 'cpu' or 'cuda'"),
        ("--cpus", "0", "cpus: Input should be greater than or equal to 1"),
        ("--default-models", "pets", "default_models: Value error"),
    ],
)
def test_a_setting_out_of_range_exits_2_and_is_named(
    flag: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "list", flag, value]) == 2
    assert capsys.readouterr().err.startswith(f"sightline: {complaint}")


def test_a_variable_out_of_range_exits_2_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_QUEUE_SIZE", "none")
    assert cli.main(["models", "list"]) == 2
    assert "queue_size: Input should be a valid integer" in capsys.readouterr().err


def test_list_shows_every_model_in_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tiny(name="b", precisions=("fp32", "int8"), default=False).write(tmp_path)
    Tiny(name="a").write(tmp_path)
    assert cli.main(["models", "list", "--models", str(tmp_path)]) == 0
    rows = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["NAME", "VERSION", "TASK", "PRECISIONS", "DEFAULT", "DESCRIPTION"],
        ["a", "1", "classify", "fp32", "yes", "mean colour"],
        ["b", "1", "classify", "fp32,int8", "mean colour"],
    ]


def test_list_names_a_broken_manifest_and_still_shows_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tiny(name="good").write(tmp_path)
    (Tiny(name="bad").write(tmp_path) / "manifest.json").write_text("{}")
    assert cli.main(["models", "list", "--models", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "good" in output.out
    assert "bad/manifest.json: name: Field required" in output.err


@pytest.mark.parametrize("action", ["list", "check"])
def test_an_empty_models_folder_is_said_so(
    tmp_path: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", action, "--models", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_check_reports_every_variant_of_every_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tiny(name="a", precisions=("fp32", "int8")).write(tmp_path)
    spoil(Tiny(name="b").write(tmp_path))
    arguments = ["models", "check", "--models", str(tmp_path), "--device", "cpu"]
    assert cli.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok      a fp32 on cpu",
        "ok      a int8 on cpu",
        "failed  b",
    ]
    assert lines[0].endswith("(tolerance 0.0001)")
    assert "graphs.main.fp32.sha256" in lines[2]


def test_check_of_one_model_leaves_the_others_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tiny(name="a").write(tmp_path)
    spoil(Tiny(name="b").write(tmp_path))
    common = ["--models", str(tmp_path), "--device", "cpu"]
    assert cli.main(["models", "check", "--model", "a", *common]) == 0
    assert "failed" not in capsys.readouterr().out
    assert cli.main(["models", "check", "--model", "b", *common]) == 1
    assert cli.main(["models", "check", "--model", "c", *common]) == 1
    assert "no model to check" in capsys.readouterr().err


def bench_of(tmp_path: Path, *more: str, model: str = "tiny") -> int:
    common = ["--models", str(tmp_path), "--device", "cpu", "--cpus", "2", "--log-level", "error"]
    return cli.main(["bench", "--model", model, *common, *more])


def test_bench_prints_a_rate_and_a_time_for_every_way_of_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tiny().write(tmp_path)
    picture = tmp_path / "picture.png"
    picture.write_bytes(encoded((200, 0, 0)))
    assert bench_of(tmp_path, "--seconds", "0.02", "--image", str(picture)) == 0
    first, *rows, last = capsys.readouterr().out.splitlines()
    assert first.split() == ["tiny", "fp32", "on", "cpu,", "2", "CPUs", "pictures/s", "p50", "ms"]
    assert len(rows) == 9
    for row in rows:
        rate, p50 = map(float, row.split()[-2:])
        assert rate > 0
        assert p50 >= 0
    assert rows[-1].startswith("whole way, narrow, 2 callers")
    assert "limit the service is held against" in last


def test_bench_without_an_image_makes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tiny().write(tmp_path)
    assert bench_of(tmp_path, "--seconds", "0.001") == 0
    assert "decode + resize" in capsys.readouterr().out


def test_bench_measures_a_model_of_any_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TinyDetector().write(tmp_path)
    TinyCaptioner().write(tmp_path)
    TinyStylizer().write(tmp_path)
    for model in ("boxes", "sentences", "styles"):
        assert bench_of(tmp_path, "--seconds", "0.001", model=model) == 0
        first, *rows = capsys.readouterr().out.splitlines()
        assert first.split()[:2] == [model, "fp32"]
        assert len(rows) == 10


def test_bench_refuses_what_it_cannot_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_of(tmp_path) == 1
    assert "tiny/manifest.json: cannot be read" in capsys.readouterr().err
    Tiny().write(tmp_path)
    assert bench_of(tmp_path, "--image", str(tmp_path / "none.png")) == 1
    assert "none.png" in capsys.readouterr().err
    (tmp_path / "text.png").write_text("no picture")
    assert bench_of(tmp_path, "--image", str(tmp_path / "text.png")) == 1
    assert capsys.readouterr().err.startswith("sightline: not a JPEG")


def test_import_without_the_training_kit_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [])
    assert cli.main(["models", "import", "net.onnx"]) == 1
    assert "extra 'import'" in capsys.readouterr().err


def test_import_hands_over_the_arguments_and_the_models_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[object] = []

    def action(arguments: list[str], *, prog: str, models: Path, report: Any) -> None:
        seen.extend([arguments, prog, models])
        report("a step")
        if "bad.onnx" in arguments:
            raise GraphError("bad.onnx: no good")

    entry = SimpleNamespace(load=lambda: action)
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [entry])
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path))
    assert cli.main(["models", "import", "net.onnx", "--name", "x"]) == 0
    assert seen == [["net.onnx", "--name", "x"], "sightline models import", tmp_path]
    assert capsys.readouterr().out == "a step\n"
    assert cli.main(["models", "import", "bad.onnx"]) == 1
    assert capsys.readouterr().err == "sightline: bad.onnx: no good\n"
    monkeypatch.setenv("SIGHTLINE_PORT", "none")
    assert cli.main(["models", "import", "net.onnx"]) == 2
    assert "port" in capsys.readouterr().err
