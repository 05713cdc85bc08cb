import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from training.registries import RegistryError, members, read_member, read_members


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing/weights.bin", b"wheel")
        archive.writestr("thing/empty/", b"")
    return path


@pytest.fixture
def sdist(tmp_path: Path) -> Path:
    path = tmp_path / "thing-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("thing-1/thing/weights.bin")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"sdist"))
    return path


def test_members_of_a_wheel_are_its_files(wheel: Path) -> None:
    assert members(wheel) == ["thing/weights.bin"]
    assert read_member(wheel, "thing/weights.bin") == b"wheel"


def test_the_leading_folder_of_a_source_archive_may_be_left_out(sdist: Path) -> None:
    assert read_member(sdist, "thing/weights.bin") == b"sdist"
    assert read_member(sdist, "thing-1/thing/weights.bin") == b"sdist"


def test_a_missing_member_is_named(wheel: Path) -> None:
    with pytest.raises(RegistryError, match=r"holds no file other\.bin"):
        read_member(wheel, "other.bin")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_several_members_are_read_at_once(tmp_path: Path, kind: str) -> None:
    contents = {"a/one": b"1", "a/two": b"2", "a/three": b"3"}
    path = tmp_path / f"thing.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, content in contents.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(path, "w") as tarred:
            for name, content in contents.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tarred.addfile(entry, io.BytesIO(content))
    assert read_members(path, ["a/three", "a/one"]) == {"a/three": b"3", "a/one": b"1"}
    with pytest.raises(RegistryError, match=rf"thing\.{kind} holds no file a/four"):
        read_members(path, ["a/one", "a/four"])


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "thing"
    path.write_bytes(b"neither")
    with pytest.raises(RegistryError, match="neither a zip nor a tar"):
        members(path)
    with pytest.raises(RegistryError, match="neither a zip nor a tar"):
        read_members(path, ["weights.bin"])
