"""Files of presets: written, read, and refused by what is wrong."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from fabricate import TinyStylizer

from service.presets import read_presets, write_presets

WRITTEN = TinyStylizer().written()


def test_what_is_written_is_read() -> None:
    presets = read_presets(WRITTEN)
    assert list(presets) == ["wave", "fire"]
    for name, code in TinyStylizer().presets.items():
        preset = presets[name]
        assert (preset.name, preset.title) == (name, name.title())
        assert (preset.source, preset.licence) == ("numbers", "CC0-1.0")
        assert preset.code.dtype == np.float32
        assert preset.code.tolist() == list(code)
        assert preset.thumbnail.startswith(b"\xff\xd8\xff")
    assert write_presets(presets.values()) == WRITTEN
    assert not read_presets(write_presets([]))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "fire"}, "two presets are called 'fire'"),
        ({"name": "a wave"}, r"0\.name"),
        ({"name": "wave:1"}, r"0\.name"),
        ({"title": ""}, r"0\.title"),
        ({"author": "me"}, r"0\.author"),
        ({"licence": None}, r"0\.licence"),
        ({"code": ""}, "wave: code has 0 bytes"),
        ({"code": base64.b64encode(b"12345").decode()}, "wave: code has 5 bytes"),
        ({"code": "a?b="}, "wave: code is not base64"),
        (
            {"code": base64.b64encode(np.full(6, np.nan, "<f4").tobytes()).decode()},
            "wave: code is not finite",
        ),
        ({"thumbnail": base64.b64encode(b"GIF89a").decode()}, "wave: thumbnail is no JPEG"),
        ({"thumbnail": "é"}, "wave: thumbnail is not base64"),
    ],
)
def test_a_file_that_is_not_so_is_refused(change: dict[str, Any], complaint: str) -> None:
    wave, fire = json.loads(WRITTEN)
    with pytest.raises(ValueError, match=complaint):
        read_presets(json.dumps([{**wave, **change}, fire]).encode())


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1]", WRITTEN[:-5]])
def test_a_file_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_presets(content)
