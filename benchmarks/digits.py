"""The digit reader on other people's digits: UCI's optical recognition set, 1797 of 8x8 pixels.

``python -m benchmarks.digits`` enlarges each digit to a picture of 240x240, light on dark and dark
on light, and as a photograph might show it: anywhere on paper under a slanting light, with noise.
The set, of 13 writers (Alpaydin and Kaynak, 1998, https://doi.org/10.24432/C50P49, CC-BY-4.0),
comes from scikit-learn's package.
"""

import argparse
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.arena import configure
from service.contract import read_manifest
from service.device import Device, available_cpus
from service.session import open_session
from training import files
from training.tasks.classify.digits import canvas

_LOCATOR = "pypi:scikit-learn==1.9.1#sklearn/datasets/data/digits.csv.gz"
_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
_SIDE = 160

Pixels = NDArray[np.uint8]


def main() -> None:
    """Print the accuracy for each way of showing the digits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/mnist"))
    parser.add_argument("--downloads", type=Path, help="folder that holds the package already")
    chosen = parser.parse_args()
    table = np.loadtxt(io.BytesIO(gzip.decompress(_read(chosen.downloads))), delimiter=",")
    digits, targets = table[:, :-1].reshape(-1, 8, 8) / 16, table[:, -1].astype(int)
    manifest = read_manifest(chosen.model)
    described = manifest.graphs["main"]["fp32"]
    configure(1024)
    device = Device("cpu", available_cpus())
    session = open_session(chosen.model / described.file, described, "main", device)
    random = np.random.default_rng(0)
    ways: dict[str, Callable[[Pixels], Pixels]] = {
        "light on dark": lambda ink: ink,
        "dark on light": lambda ink: 255 - ink,
        "as photographed": lambda ink: _photographed(ink, random),
    }
    for name, way in ways.items():
        shown = [{"images": canvas(way(_enlarged(digit)))} for digit in digits]
        logits = np.stack([session.run([item], lone=True)[0]["logits"] for item in shown])
        print(f"{name}: {np.mean(logits.argmax(1) == targets):.4f} of {len(targets)}")


def _read(downloads: Path | None) -> bytes:
    return files.resolve(_LOCATOR, _SHA256, downloads).read_bytes()


def _enlarged(digit: NDArray[np.float64]) -> Pixels:
    picture = Image.fromarray((digit * 255).astype(np.uint8))
    large: Pixels = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    return np.pad(large, (240 - _SIDE) // 2)


def _photographed(ink: Pixels, random: np.random.Generator) -> Pixels:
    """Paper under a slanting light, ink of some strength, noise, the digit off the centre."""
    moved = np.roll(ink, random.integers(-30, 31, 2), axis=(0, 1)) / 255
    down, across = np.mgrid[:240, :240] / 240 - 0.5
    light = random.uniform(0.45, 0.85) + random.uniform(-0.25, 0.25, 2) @ np.stack(
        [down, across]
    ).reshape(2, -1)
    seen = light.reshape(240, 240) * (1 - random.uniform(0.4, 0.8) * moved)
    noisy = seen + random.normal(0, 0.02, seen.shape)
    photograph: Pixels = (np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    return photograph


if __name__ == "__main__":
    main()
