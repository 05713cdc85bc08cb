"""What the pages show is written right: JSON, YAML, Python, shell, every command and its flags."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import tyro
import yaml

from service import cli, key_command
from service.client import flags
from tests.docs.pages import ROOT, Block, all_blocks, commands, pages, prose
from training.cli import COMMANDS
from training.foreign.flags import parser as import_parser

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
API = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
# Pages that are no part of the API.
PLAIN = {"/", "/docs", "/metrics"}


def named(blocks: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks, ids=str)


@named(all_blocks("json"))
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@named(all_blocks("yaml"))
def test_yaml_is_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@named(all_blocks("python"))
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@named(all_blocks("sh"))
def test_shell_is_shell(block: Block) -> None:
    checked = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_block_says_what_it_is() -> None:
    known = {"", "json", "python", "sh", "yaml"}
    languages = {
        language
        for page in pages()
        for language in re.findall(r"^ *```+(\S+)$", (ROOT / page).read_text(), re.MULTILINE)
    }
    assert languages <= known


class UnknownError(Exception):
    """A page shows a command that there is not."""


def parse(words: list[str]) -> None:
    """Hold a command against the parser that reads it; UnknownError if that refuses."""
    try:
        hand_over(words)
    except SystemExit as stop:  # with 0 after --help
        if stop.code != 0:
            raise UnknownError(words) from None


def hand_over(words: list[str]) -> None:
    program = words[0].rpartition("/")[2]
    if words[:2] == ["docker", "compose"] and "training" in words:
        program, words = "sightline-train", words[words.index("training") :]
    if program == "sightline-train" and words[1:2] != ["--help"]:
        default, _ = COMMANDS[words[1]]
        config = (tyro.conf.OmitArgPrefixes,)
        tyro.cli(type(default), default=default, args=words[2:], config=config)
    elif program == "sightline":
        parse_sightline(words[1:])
    elif program == "make":
        for word in words[1:]:
            name, sets, _ = word.partition("=")
            if f"$({name})" not in MAKEFILE if sets else name not in TARGETS:
                raise UnknownError(words)


def parse_sightline(words: list[str]) -> None:
    if words[:2] == ["models", "import"]:
        import_parser("sightline models import", ROOT).parse_args(words[2:])
    elif words[:1] == ["keys"]:
        key_command._parser().parse_args(words[1:])
    elif words and words[0] in COMMANDS_OF_THE_CLIENT:
        flags.parse(words)
    else:
        cli._parser().parse_args(words)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, for commands that ask whether their pictures are there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse_all(shell: str, folder: Path) -> None:
    for name in re.findall(r"(?<![\w/])\w+\.(?:jpg|png|webp)", shell):
        (folder / name).touch()
    for words in commands(shell):
        parse(words)


COMMANDS_OF_THE_CLIENT = {"classify", "detect", "segment", "caption", "stylize"}


@named(all_blocks("sh"))
def test_commands_exist_with_their_flags(block: Block, elsewhere: Path) -> None:
    parse_all(block.text, elsewhere)


@pytest.mark.parametrize("page", pages())
def test_commands_in_the_text_exist(page: str, elsewhere: Path) -> None:
    for code in re.findall(r"`((?:make|sightline|sightline-train) [^`]+)`", prose(page)):
        if not re.search(r"\.\.\.|…|[<>|]", code):
            is_named_only = "--" not in code and not code.startswith("make ")
            parse_all(code.replace("\n", " ") + " --help" * is_named_only, elsewhere)


@named(all_blocks("sh"))
def test_addresses_exist_with_their_parameters(block: Block) -> None:
    for words in commands(block.text):
        for word in words:
            if words[0] != "curl" or not re.match(r"(http://)?(localhost|127\.0\.0\.1):8000", word):
                continue
            parts = urlsplit(word if "//" in word else f"//{word}")
            if block.page == "docs/extending.md" and parts.path == "/embed":
                continue  # the task which that page adds
            if parts.path in PLAIN:
                continue
            (operations,) = [API[path] for path in API if is_of(parts.path, path)]
            (operation,) = operations.values()
            taken = {each["name"] for each in operation.get("parameters", ())}
            assert {name for name, _ in parse_qsl(parts.query)} <= taken, word


def is_of(path: str, template: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None


@pytest.mark.parametrize(
    "line",
    [
        "sightline-train classify --data my_photos --nme pets",
        "sightline serve --prot 8000",
        "sightline detect a.jpg --treshold 0.5",
        "sightline keys create --nme ci",
        "make serv",
        "make models DATUM=x",
    ],
)
def test_what_does_not_exist_is_found(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (words,) = commands(f"A=1 {line} > out.txt &")
    with pytest.raises(UnknownError):
        parse(words)
    capsys.readouterr()


def test_commands_are_found() -> None:
    shell = (
        "A=b curl -sf x:1 | tail -1 > y; until curl z; do sleep 1; done\nB=$(make q) cd \\\n  p &"
    )
    assert list(commands(shell)) == [
        ["make", "q"],
        ["curl", "-sf", "x:1"],
        ["tail", "-1"],
        ["curl", "z"],
        ["sleep", "1"],
        ["cd", "p"],
    ]
