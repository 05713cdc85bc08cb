"""What the shipped stylizers make of contents that are hard for it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from service.presets import Preset, read_presets

MODELS = Path(__file__).parents[4] / "models"
EDGE, SMOOTH = 16, 17


@pytest.fixture(scope="module", params=["stylize", "stylize-slim"])
def version(request: pytest.FixtureRequest) -> Path:
    return MODELS / str(request.param) / "1"


@pytest.fixture(scope="module")
def session(version: Path) -> ort.InferenceSession:
    return ort.InferenceSession(version / "model.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def presets(version: Path) -> Mapping[str, Preset]:
    return read_presets((version / "presets.json").read_bytes())


def sky(height: int, width: int) -> NDArray[np.uint8]:
    """Blue at the top and pale below, without a cloud or grain."""
    top, bottom = np.array([70, 130, 200]), np.array([200, 220, 240])
    column = top + np.linspace(0, 1, height)[:, None] * (bottom - top)
    return np.repeat(column[:, None].round().astype(np.uint8), width, axis=1)


@pytest.mark.parametrize("name", ["cypresses", "seashore", "mosaic", "hatching"])
def test_a_smooth_sky_gets_strokes_and_no_stripes(
    session: ort.InferenceSession, presets: Mapping[str, Preset], name: str
) -> None:
    inputs = {
        "images": sky(160, 224)[None],
        "code": presets[name].code[None],
        "alpha": np.ones(1, np.float32),
    }
    ((made,),) = session.run(None, inputs)
    inner = made[EDGE:-EDGE, EDGE:-EDGE].mean(-1)
    rows = np.pad(inner.mean(1), SMOOTH // 2, "edge")
    slope = np.convolve(rows, np.full(SMOOTH, 1 / SMOOTH), "valid")
    stripes = (inner.mean(1) - slope).std()
    assert inner.std(1).mean() > 2 * stripes
