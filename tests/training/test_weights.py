import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training import weights
from training.nets.architectures import ARCHITECTURES


def test_every_row_is_complete() -> None:
    assert not weights.TABLE.keys() & weights.STYLE_TABLE.keys()
    assert {row.architecture for row in weights.TABLE.values()} <= ARCHITECTURES.keys()
    for name, row in (*weights.TABLE.items(), *weights.STYLE_TABLE.items()):
        assert row.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert row.locator == (f"{row.source}#{row.file}" if row.file else row.source)
        assert all((row.preprocessing, row.licence, row.published, row.url))


def test_load_reads_the_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"_fc.bias": torch.arange(3.0)}, path)
    row = replace(
        next(iter(weights.TABLE.values())),
        source=str(path),
        file="",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    monkeypatch.setattr(weights, "TABLE", {"mine": row})
    assert weights.load("mine")["_fc.bias"].tolist() == [0, 1, 2]
