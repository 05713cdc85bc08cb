"""The fp32 file of a Sightline model, used the way a careful engineer would without Sightline."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image


class Classifier:
    """Decode, resize, crop, run, top 5; the graph holds the normalisation already."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the fp32 graph with ``threads`` intra-op threads that do not spin."""
        manifest = json.loads((folder / "manifest.json").read_text())
        self.side: int = manifest["input"]["height"]
        self.crop: float = manifest["input"]["crop"]
        self.labels: list[str] = manifest["labels"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        file = folder / manifest["graphs"]["main"]["fp32"]["file"]
        self.session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    @classmethod
    def from_environment(cls) -> "Classifier":
        """The model that ``PEER_MODEL`` and ``PEER_THREADS`` name."""
        return cls(Path(os.environ["PEER_MODEL"]), int(os.environ["PEER_THREADS"]))

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """``uint8[side, side, 3]``: shortest side to side/crop, then the centre."""
        image = Image.open(io.BytesIO(data)).convert("RGB")
        scale = self.side / self.crop / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        return np.asarray(image.crop((left, top, left + self.side, top + self.side)))

    def logits(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``uint8[N, side, side, 3]`` to ``float32[N, classes]``."""
        result: NDArray[np.float32] = self.session.run(None, {"images": batch})[0]
        return result

    def top5(self, logits: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The five most likely labels."""
        exponentials = np.exp(logits - logits.max())
        scores = exponentials / exponentials.sum()
        best = np.argsort(-scores)[:5]
        return [{"label": self.labels[i], "score": float(scores[i])} for i in best]
