"""The answers that Hugging Face's ``InferenceClient`` reads."""

import base64
import io
import math
from typing import Any

from PIL import Image
from pydantic import BaseModel, Field, TypeAdapter

from service.task import Answered
from service.tasks import caption, classify, detect, segment


class Classified(BaseModel):
    """A label and its probability."""

    label: str
    score: float


class Corners(BaseModel):
    """A box in whole pixels of the upright picture."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class Detected(BaseModel):
    """An object."""

    label: str
    score: float
    box: Corners


class Segmented(BaseModel):
    """All pixels of a class."""

    label: str
    score: float
    mask: str = Field(
        description="Base64 of a grey PNG of the upright picture's size; 255 is the class.",
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"},
    )


class Described(BaseModel):
    """A sentence."""

    generated_text: str


def classified(answered: Answered) -> bytes:
    """Labels, the most likely first."""
    assert isinstance(answered, classify.Result)
    return _CLASSIFIED.dump_json(
        [Classified(label=each.label, score=each.score) for each in answered.predictions]
    )


def detected(answered: Answered) -> bytes:
    """Objects, the surest first, their boxes widened to whole pixels."""
    assert isinstance(answered, detect.Result)
    return _DETECTED.dump_json(
        [
            Detected(
                label=each.label,
                score=each.score,
                box=Corners(
                    xmin=math.floor(each.box.x_min),
                    ymin=math.floor(each.box.y_min),
                    xmax=math.ceil(each.box.x_max),
                    ymax=math.ceil(each.box.y_max),
                ),
            )
            for each in answered.detections
        ]
    )


def segmented(answered: Answered, threshold: float) -> bytes:
    """Classes that are at least as sure as the threshold, the largest first; of PNG masks."""
    assert isinstance(answered, segment.Result)
    return _SEGMENTED.dump_json(
        [
            Segmented(label=each.label, score=each.confidence, mask=_grey(each.mask))
            for each in answered.segments
            if each.confidence >= threshold
        ]
    )


def described(answered: Answered) -> bytes:
    """The best sentence, alone; an empty one where there is none, since clients take the first."""
    assert isinstance(answered, caption.Result)
    best = answered.captions[0].text if answered.captions else ""
    return _DESCRIBED.dump_json([Described(generated_text=best)])


_CLASSIFIED = TypeAdapter(list[Classified])
_DETECTED = TypeAdapter(list[Detected])
_SEGMENTED = TypeAdapter(list[Segmented])
_DESCRIBED = TypeAdapter(list[Described])


def _grey(mask: Any) -> str:
    """A mask's 1-bit PNG as one of 0 and 255, which clients compute with."""
    assert isinstance(mask, segment.Png)
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(mask.data))) as one_bit:
        one_bit.convert("L").save(buffer, "PNG", compress_level=3)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
