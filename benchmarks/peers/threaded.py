"""A plain FastAPI service: a synchronous handler in Starlette's thread pool, one shared session."""

from typing import Any

from fastapi import FastAPI, UploadFile

from benchmarks.peers.model import Classifier

classifier = Classifier.from_environment()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


@app.post("/predict")
def predict(request: UploadFile) -> dict[str, Any]:
    """Classify one picture."""
    pixels = classifier.pixels(request.file.read())
    return {"predictions": classifier.top5(classifier.logits(pixels[None])[0])}
