"""The same model behind LitServe, as its documentation shows."""

import os
from typing import Any

import litserve as ls
import numpy as np
from fastapi import UploadFile

from benchmarks.peers.model import Classifier


class Api(ls.LitAPI):  # type: ignore[misc]
    """Decode in the worker, run, top 5."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model in a worker."""
        self.classifier = Classifier.from_environment()

    def decode_request(self, request: UploadFile) -> Any:
        """The upload's pixels."""
        return self.classifier.pixels(request.file.read())

    def predict(self, pixels: Any) -> Any:
        """Run the graph on one picture or, with batching on, on a stack of them."""
        batch = pixels if pixels.ndim == 4 else pixels[None]
        logits = self.classifier.logits(np.ascontiguousarray(batch))
        return logits if pixels.ndim == 4 else logits[0]

    def encode_response(self, logits: Any) -> dict[str, Any]:
        """The five most likely labels."""
        return {"predictions": self.classifier.top5(logits)}


if __name__ == "__main__":
    batch = int(os.environ.get("PEER_BATCH", "1"))
    api = Api(max_batch_size=batch, batch_timeout=0.01 if batch > 1 else 0.0)
    workers = int(os.environ["PEER_WORKERS"])
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=workers)
    port = int(os.environ["PEER_PORT"])
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")
