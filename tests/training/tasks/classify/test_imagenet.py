"""The recipe with random weights and made-up pictures in place of what registries hold."""

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training import weights
from training.data import paintings
from training.nets.efficientnet_lite import efficientnet_lite
from training.tasks.classify.imagenet import EDITIONS, imagenet


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything the small edition is made from."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "downloads"
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(efficientnet_lite("efficientnet_lite0").state_dict(), folder / "random.pth")
    random = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "paintings.whl", "w") as archive:
        for index in range(3):
            encoded = io.BytesIO()
            pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(encoded, "JPEG")
            archive.writestr(f"paintings/{index}.jpg", encoded.getvalue())
    row = weights.TABLE[EDITIONS["imagenet-small"].weights]
    row = replace(row, sha256=sha256(folder / "random.pth"))
    monkeypatch.setattr(weights, "TABLE", {row.name: row})
    monkeypatch.setattr(paintings, "_SHA256", sha256(folder / "paintings.whl"))
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_recipe_is_complete(downloads: Path) -> None:
    exportable = imagenet("imagenet-small", downloads=downloads)
    graph = exportable.graphs["main"]
    assert exportable.task == "classify"
    assert (exportable.input.height, exportable.input.width) == (224, 224)
    assert (len(exportable.labels), exportable.labels[0]) == (1000, "tench")
    assert exportable.evaluate is None
    assert {item["images"].shape for item in graph.checked} == {(224, 224, 3)}
    assert len(graph.golden) == 2
    with torch.inference_mode():
        assert graph.module.eval()(*graph.example.values()).shape == (2, 1000)


def test_crops_depend_on_the_seed_alone(downloads: Path) -> None:
    geometry = imagenet("imagenet-small", downloads=downloads).input
    first, again, other = (
        paintings.calibration_crops(geometry, 4, seed, downloads) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_edition_is_the_default() -> None:
    assert [name for name, edition in EDITIONS.items() if edition.default] == ["imagenet"]
