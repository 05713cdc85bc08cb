"""``sightline models import`` as its user meets it."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from service import cli
from training.foreign import command
from training.foreign.preprocessing import PRESETS

_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from importlib import metadata
from service.cli import main
entry = metadata.EntryPoint("import", "training.foreign.command:run", "sightline.models")
metadata.entry_points = lambda **_: [entry]
sys.exit(main({arguments}))
"""


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point, whether or not the installed distribution was made since it was added."""
    entry = metadata.EntryPoint("import", "training.foreign.command:run", cli.ACTIONS)
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [entry])


def without(absent: set[str], arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command in a process in which some packages are not installed."""
    code = _WITHOUT.format(absent=absent, arguments=arguments)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def arguments_of(desk: Any, *more: str) -> list[str]:
    (desk.folder / "labels.txt").write_text("ant\nbee\ncat\ndog\n")
    labels = ["--labels", str(desk.folder / "labels.txt")]
    common = ["--name", "mine", *labels, "--models", str(desk.models)]
    return ["models", "import", str(desk.write()), *common, *more]


def test_the_distribution_offers_the_command() -> None:
    entries = metadata.distribution("sightline").entry_points.select(group=cli.ACTIONS)
    assert [entry.load() for entry in entries] == [command.run]


def test_help_explains_the_conventions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["models", "import", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: sightline models import")
    for words in ("--preset torchvision", "--range 0..1 --mean 0.485", "caffe", "clip"):
        assert words in text


def test_a_file_becomes_a_model_that_checks(desk: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments_of(desk, "--preset", "tf")) == 0
    told = capsys.readouterr().out
    assert "run by hand" in told
    assert "/classify?model=mine" in told
    assert cli.main(["models", "check", "--models", str(desk.models), "--device", "cpu"]) == 0
    assert "ok      mine fp32" in capsys.readouterr().out


def test_a_refusal_is_one_line_and_status_1(desk: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments_of(desk)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sightline: ")
    assert "--preset" in line


@pytest.mark.parametrize(
    ("flag", "value", "complaint"),
    [
        ("--mean", "1,2", "invalid one or three numbers value: '1,2'"),
        ("--std", "0", "invalid one or three positive numbers value: '0'"),
        ("--std", "nan", "invalid one or three positive numbers value: 'nan'"),
        ("--size", "0x4", "invalid size (224 or 224x320) value: '0x4'"),
        ("--layout", "chw", "invalid choice: 'chw'"),
    ],
)
def test_a_wrong_flag_exits_2(
    desk: Any, flag: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments_of(desk, flag, value))
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_it_works_without_pytorch(desk: Any) -> None:
    done = without({"torch", "torchvision", "kornia"}, arguments_of(desk, "--preset", "tf"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (desk.models / "mine/manifest.json").exists()


def test_without_onnx_it_names_the_extra(desk: Any) -> None:
    done = without({"onnx", "torch"}, arguments_of(desk, "--preset", "tf"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "needs onnx, which is not installed" in line
    assert "[cpu,import]" in line


def test_a_failed_try_leaves_no_noise(desk: Any) -> None:
    """A graph that cannot run batches is tried and run otherwise; the runtime's log stays shut."""
    arguments = arguments_of(desk, "--preset", "tf")
    desk.write(batch=1, glued=True)
    done = without({"torch"}, arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "one by one" in done.stdout


def test_the_guide_names_the_flags_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["models", "import", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    guide = (Path(__file__).parents[3] / "docs/importing.md").read_text()
    named = set(re.findall(r"--[a-z][a-z-]+", guide)) - {"--data-binary", "--model"}
    assert named <= known
    assert named >= {"--preset", "--mean", "--range", "--layout", "--output-kind", "--overwrite"}
    assert {f"--preset {name}" for name in PRESETS} <= set(re.findall(r"--preset \w+", guide))
    mean, std = PRESETS["torchvision"].normalisation.in_pixels
    numbers = [",".join(f"{n:g}" for n in values) for values in (mean, std)]
    assert f"--mean {numbers[0]} --std {numbers[1]}" in guide
