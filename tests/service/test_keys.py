"""The file of keys: what it says, how it is followed, and the command that changes it."""

import asyncio
import json
import logging
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgi import until

from service import keys as keys_module
from service.cli import main
from service.errors import KeysError
from service.keys import Key, KeyFile, Keys, hash_of, new_key, read_keys
from service.rate import Rate


def entry(secret: str = "secret", **more: Any) -> dict[str, Any]:
    return {"name": "ci", "sha256": hash_of(secret), **more}


def write(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": entries}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_by_what_hashes_to_its_entry(path: Path) -> None:
    write(path, entry(), entry("other", name="ops", scopes=["admin"], rate="5/m"))
    keys = Keys(path)
    assert keys.find(b"secret") == Key(name="ci", sha256=hash_of("secret"))
    assert keys.find(b"other") == Key(
        name="ops", sha256=hash_of("other"), scopes=frozenset({"admin"}), rate=Rate(5, 60)
    )
    for stranger in (b"", b"secre", b"secret ", b"SECRET", hash_of("secret").encode(), b"\xff"):
        assert keys.find(stranger) is None


def test_a_hash_that_begins_alike_is_not_enough(path: Path) -> None:
    digest = hash_of("secret")
    write(path, {"name": "ci", "sha256": digest[:-1] + ("0" if digest[-1] != "0" else "1")})
    assert Keys(path).find(b"secret") is None


def test_new_keys_are_long_and_differ() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("sl_") and len(key) == 46 for key in made)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "Invalid JSON"),
        ("[]", "the document: Input should be an object"),
        ('{"keys": [{"name": "ci"}]}', "keys.0.sha256: Field required"),
        (json.dumps({"keys": [entry(scope="infer")]}), "keys.0.scope: Extra inputs"),
        (json.dumps({"keys": [entry(scopes=[])]}), "keys.0.scopes"),
        (json.dumps({"keys": [entry(scopes=["root"])]}), "keys.0.scopes"),
        (json.dumps({"keys": [entry(rate="fast")]}), "keys.0.rate: Value error, 'fast' is no rate"),
        (json.dumps({"keys": [entry(), entry("other")]}), "two keys have the same name"),
        (json.dumps({"keys": [entry(), entry(name="b")]}), "two keys have the same sha256"),
        (json.dumps({"keys": [entry(name="a b")]}), "keys.0.name"),
        (json.dumps({"keys": [{"name": "ci", "sha256": "secret"}]}), "keys.0.sha256"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong_and_without_secrets(
    path: Path, content: str, complaint: str
) -> None:
    path.write_text(content)
    with pytest.raises(KeysError) as refused:
        Keys(path)
    assert complaint in str(refused.value)
    assert str(path) in str(refused.value)
    assert hash_of("secret") not in str(refused.value)


def test_a_file_that_is_missing_or_huge_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeysError, match="cannot be read"):
        Keys(path)
    write(path, entry())
    monkeypatch.setattr(keys_module, "_MAX_FILE_BYTES", 10)
    with pytest.raises(KeysError, match="larger than 10 bytes"):
        Keys(path)


def test_a_changed_file_counts_as_a_whole(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys(write(path, entry("old")))
    write(path, entry("new"))
    assert keys.find(b"old")
    with caplog.at_level(logging.INFO):
        keys.reread()
        keys.reread()
    assert keys.find(b"old") is None
    assert keys.find(b"new")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("broken", ['{"keys": [', None])
def test_a_broken_file_leaves_the_keys_as_they_were_and_is_logged_once(
    path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(write(path, entry("old")))
    for _ in range(2):
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)
        caplog.clear()
        for _ in range(3):
            keys.reread()
        assert keys.find(b"old")
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "stay as they were" in caplog.text
        write(path, entry("old"))
        keys.reread()
    write(path, entry("new"))
    keys.reread()
    assert keys.find(b"new")


def test_a_secret_that_is_a_link_to_another_file_is_followed(path: Path, tmp_path: Path) -> None:
    """As Kubernetes and others put a new version of a mounted secret in place."""
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    write(first, entry("old"))
    write(second, entry("new"))
    path.symlink_to(first)
    keys = Keys(path)
    link = tmp_path / "link"
    link.symlink_to(second)
    link.rename(path)
    keys.reread()
    assert keys.find(b"new")
    assert keys.find(b"old") is None


async def test_the_file_is_followed_until_cancelled(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "REREAD_S", 0.001)
    keys = Keys(write(path, entry("old")))
    following = asyncio.create_task(keys.follow())
    write(path, entry("new"))
    await until(lambda: keys.find(b"new"))
    path.write_text("broken")
    await until(lambda: keys._trouble)
    write(path, entry("newer"))
    await until(lambda: keys.find(b"newer"))
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


def create(capsys: pytest.CaptureFixture[str], path: Path, *flags: str, name: str = "ci") -> str:
    assert main(["keys", "create", "--name", name, "--file", str(path), *flags]) == 0
    printed = capsys.readouterr()
    assert "cannot be shown again" in printed.err
    return printed.out.strip()


def test_create_prints_a_key_and_keeps_its_hash_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = create(capsys, path)
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = Keys(path)
    found = keys.find(secret.encode())
    assert found
    assert (found.name, found.rate) == ("ci", None)
    assert found.scopes == {"infer"}
    flags = ("--scope", "admin", "--scope", "metrics", "--rate", "9/s")
    create(capsys, path, *flags, name="ops")
    assert read_keys(path)[1].keys[1].scopes == {"admin", "metrics"}
    assert read_keys(path)[1].keys[1].rate == Rate(9, 1)
    assert sorted(path.parent.iterdir()) == [path]


def test_create_keeps_the_mode_and_the_link_of_the_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = write(tmp_path / "real.json")
    real.chmod(0o640)
    path.symlink_to(real)
    create(capsys, path)
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert len(read_keys(real)[1].keys) == 1


def test_list_shows_keys_but_no_secret(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = create(capsys, path, "--rate", "600/m")
    assert main(["keys", "list", "--file", str(path)]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "SCOPES", "RATE", "SHA256"]
    assert row.split()[:3] == ["ci", "infer", "600/m"]
    assert hash_of(secret) not in row


def test_revoke_takes_one_key_out(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone, kept = create(capsys, path), create(capsys, path, name="other")
    assert main(["keys", "revoke", "--name", "ci", "--file", str(path)]) == 0
    assert Keys(path).find(gone.encode()) is None
    assert Keys(path).find(kept.encode())
    assert main(["keys", "revoke", "--name", "ci", "--file", str(path)]) == 1
    assert "has no key 'ci'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "status", "complaint"),
    [
        (["create", "--name", "a b"], 2, "name: String should match"),
        (["create", "--name", "a", "--rate", "fast"], 2, "'fast' is no rate"),
        (["list"], 1, "cannot be read"),
        (["revoke", "--name", "a"], 1, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    status: int,
    complaint: str,
) -> None:
    assert main(["keys", *flags, "--file", str(path)]) == status
    assert complaint in capsys.readouterr().err
    assert not path.exists()


def test_a_name_is_taken_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(capsys, path)
    before = path.read_bytes()
    assert main(["keys", "create", "--name", "ci", "--file", str(path)]) == 1
    assert "has a key 'ci' already" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_file_may_come_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SIGHTLINE_API_KEYS_FILE", raising=False)
    assert main(["keys", "list"]) == 1
    assert "SIGHTLINE_API_KEYS_FILE" in capsys.readouterr().err
    monkeypatch.setenv("SIGHTLINE_API_KEYS_FILE", str(path))
    assert main(["keys", "create", "--name", "ci"]) == 0
    assert len(read_keys(path)[1].keys) == 1


def test_commands_at_the_same_time_lose_no_key_and_nobody_reads_half_a_file(path: Path) -> None:
    write(path)
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            KeyFile.model_validate_json(path.read_bytes())

    with ThreadPoolExecutor() as pool:
        watching = pool.submit(watch)
        made = [
            pool.submit(main, ["keys", "create", "--name", f"key-{n}", "--file", str(path)])
            for n in range(8)
        ]
        assert [each.result(60) for each in made] == [0] * 8
        done.set()
        watching.result(60)
    assert {key.name for key in read_keys(path)[1].keys} == {f"key-{n}" for n in range(8)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.chmod(0o500)
    try:
        assert main(["keys", "create", "--name", "ci", "--file", str(path)]) == 1
    finally:
        path.parent.chmod(0o700)
    assert "Permission denied" in capsys.readouterr().err
