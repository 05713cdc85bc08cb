"""What the service answers with, as the client hands it on.

These are the schemas of ``docs/openapi.json`` once more, so that a client needs nothing of the
service; a test holds each against its namesake there. Fields that a newer service adds are kept.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "fp16", "int8"]


class Answer(BaseModel):
    """Base of all that is read of the service's JSON."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class ModelUsed(Answer):
    """Which model gave the answer."""

    name: str
    version: str
    precision: Precision


class ImageSeen(Answer):
    """The picture's size in pixels once upright."""

    width: int
    height: int


class Timing(Answer):
    """Where the time went in the service, in milliseconds."""

    decode: float
    queue: float
    run: float
    total: float


class Answered(Answer):
    """What every task's answer to one picture holds."""

    model: ModelUsed
    image: ImageSeen
    timing_ms: Timing


class Prediction(Answer):
    """One label, its position in the model's list, and its softmax probability, 0 to 1."""

    label: str
    index: int
    score: float


class Classification(Answered):
    """What a picture shows, the most likely label first."""

    predictions: list[Prediction]


class Box(Answer):
    """A box in pixels of the upright picture, from its upper left corner."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Detection(Answer):
    """One object; ``score`` is how sure the model is, 0 to 1."""

    label: str
    index: int
    score: float
    box: Box


class Detections(Answered):
    """The objects of a picture, the surest first."""

    detections: list[Detection]


class Extent(Answer):
    """Edges of pixels of the upright picture, from its upper left corner."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


class RunLengths(Answer):
    """A mask in COCO's compressed run lengths; ``size`` is height and width in pixels."""

    format: Literal["rle"] = "rle"
    size: Annotated[list[int], Field(min_length=2, max_length=2)]
    counts: str


class Polygons(Answer):
    """A mask as COCO's flat lists ``[x1, y1, x2, y2, ...]`` of pixels' corners."""

    format: Literal["polygon"] = "polygon"
    polygons: list[list[int]]


class Png(Answer):
    """A mask as base64 of a 1-bit PNG of the upright picture's size."""

    format: Literal["png"] = "png"
    data: str


class Segment(Answer):
    """All pixels of one class.

    ``share`` is of the picture, 0 to 1; ``confidence`` the mean probability over the pixels;
    ``colour`` is ``#rrggbb``; ``mask`` is None if none was asked for.
    """

    label: str
    index: int
    colour: str
    pixels: int
    share: float
    confidence: float
    box: Extent
    mask: Annotated[RunLengths | Polygons | Png, Field(discriminator="format")] | None


class Segmentation(Answered):
    """The classes of a picture's pixels, the largest first."""

    segments: list[Segment]


class Word(Answer):
    """A word of a caption; ``attention`` is base64 of a grey PNG, bright where the model looked."""

    word: str
    attention: str


class Caption(Answer):
    """One sentence; ``score`` is 0 to 1, ``words`` are there if attention was asked for."""

    text: str
    score: float
    words: list[Word] = []


class Captions(Answered):
    """Sentences that say what a picture shows, the best first."""

    captions: list[Caption]


class ModelSummary(Answer):
    """A model on offer; ``default`` if it answers where none is named."""

    name: str
    version: str
    task: str
    description: str
    precision: Precision
    default: bool


class PresetShown(Answer):
    """A style by name; ``thumbnail`` is base64 of a JPEG."""

    model: str
    name: str
    title: str
    source: str
    licence: str
    thumbnail: str


class Problem(Answer):
    """Why there is no answer (RFC 9457); the last two are for clients of other services."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    error: str | None = None
    success: Literal[False] | None = None
