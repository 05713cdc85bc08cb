"""What a run is said to take, held against what it takes."""

import logging
from pathlib import Path

import numpy as np
import pytest
from fabricate import TinySegmenter, TinyStylizer

from service import footprint
from service.contract import Manifest, Variant, read_manifest
from service.findings import Run
from service.footprint import measure, sized
from service.golden import items, read_golden
from service.session import Arrays


def main_of(folder: Path) -> tuple[Path, Variant, Arrays]:
    """The graph, what the manifest says of it, and an item."""
    manifest: Manifest = read_manifest(folder)
    variant = manifest.graphs["main"]["fp32"]
    item = items(read_golden(folder / "golden.npz"), "main", "input")[0]
    return folder / variant.file, variant, item


@pytest.mark.parametrize("size", [(64, 48), (512, 300)])
def test_a_run_of_any_size_takes_no_more_than_was_foretold(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path, variant, item = main_of(TinyStylizer().write(tmp_path))
    rate = measure(path, variant, item, {})
    assert rate is not None
    larger = {**item, "images": np.zeros((*size, 3), np.uint8)}
    taken = footprint._in_a_process(path, larger)
    assert taken is not None
    # Of some 15 tensors, each four times as large as the input, several are alive at once.
    assert 8 * sized(variant, larger) < taken <= rate * sized(variant, larger) <= 2 * taken


def test_only_inputs_whose_size_is_chosen_count(tmp_path: Path) -> None:
    _, variant, item = main_of(TinyStylizer().write(tmp_path))
    assert item.keys() == {"images", "code", "alpha"}
    assert sized(variant, item) == item["images"].nbytes


def test_one_file_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, variant, item = main_of(TinySegmenter(resize="pad_to_multiple").write(tmp_path))
    known: dict[Run, float] = {}
    measured, calls = measure(path, variant, item, known), list[Path]()
    assert measured is not None

    def counted(again: Path, _: Arrays) -> int:
        calls.append(again)
        return 1

    monkeypatch.setattr(footprint, "_in_a_process", counted)
    assert measure(path, variant, item, known) == measured
    assert not calls
    measure(path, variant.model_copy(update={"sha256": "0" * 64}), item, known)
    assert calls == [path]


def test_what_cannot_be_measured_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, variant, item = main_of(TinyStylizer().write(tmp_path))
    path.write_bytes(b"no graph")
    with caplog.at_level(logging.WARNING):
        assert measure(path, variant, item, {}) is None
    assert "cannot be measured" in caplog.text
    assert str(path) in caplog.text


def test_no_process_to_measure_in_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, variant, item = main_of(TinyStylizer().write(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    assert measure(path, variant, item, {}) is None
    assert "cannot be measured" in caplog.text
