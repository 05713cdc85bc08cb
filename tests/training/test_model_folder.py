"""A model folder takes its place whole, or not at all."""

from pathlib import Path

import pytest

from service.contract import MAX_ASSET_BYTES
from training.model_folder import ModelFolder, replacing


def contents(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A model that is there already."""
    folder = tmp_path / "models/pets"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("old")
    return folder


def test_a_new_folder_makes_its_parents(tmp_path: Path) -> None:
    with replacing(tmp_path / "a/b/pets") as folder:
        assert folder.name == "pets"
        (folder / "manifest.json").write_text("new")
        assert not (tmp_path / "a/b/pets").exists()
    assert contents(tmp_path) == {"a/b/pets/manifest.json": "new"}


def test_the_old_one_makes_room(target: Path) -> None:
    with replacing(target) as folder:
        (folder / "card").write_text("new")
        assert contents(target) == {"manifest.json": "old"}
    assert contents(target.parent) == {"pets/card": "new"}


def test_an_error_leaves_the_old_one(target: Path) -> None:
    with pytest.raises(IsADirectoryError), replacing(target) as folder:
        folder.write_text("a folder is no file")
    assert contents(target.parent) == {"pets/manifest.json": "old"}


@pytest.mark.parametrize("file", ["words.txt", "lists/words.txt"])
def test_an_asset_is_written_as_it_is_described(tmp_path: Path, file: str) -> None:
    folder = ModelFolder(tmp_path, "3")
    folder.add_asset("vocabulary", file, b"a\n")
    (described,) = folder.assets.values()
    assert described.file == f"3/{file}"
    assert contents(tmp_path) == {f"3/{file}": "a\n"}


def test_an_asset_that_could_not_be_served_is_not_written(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path, "1")
    (tmp_path / "1").mkdir()
    (tmp_path / "1/model.onnx").write_text("graph")
    with pytest.raises(FileExistsError):
        folder.add_asset("vocabulary", "model.onnx", b"a")
    with pytest.raises(ValueError, match="'vocabulary' has 16,777,217 bytes; at most 16,777,216"):
        folder.add_asset("vocabulary", "words.txt", b"x" * (MAX_ASSET_BYTES + 1))
    for outside in ("../words.txt", "../../words.txt"):
        with pytest.raises(ValueError, match="relative path inside the model's folder"):
            folder.add_asset("vocabulary", outside, b"a")
    assert not folder.assets
    assert contents(tmp_path) == {"1/model.onnx": "graph"}


def test_a_failed_swap_brings_the_old_one_back(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if to == target and self.name == "pets":
            raise PermissionError(13, "no")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PermissionError), replacing(target) as folder:
        (folder / "card").write_text("new")
    assert contents(target.parent) == {"pets/manifest.json": "old"}
