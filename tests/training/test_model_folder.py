"""A model folder takes its place whole, or not at all."""

from pathlib import Path

import pytest

from training.model_folder import replacing


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
