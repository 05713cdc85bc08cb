"""What Hugging Face's ``InferenceClient`` sends to a URL, and what it reads of the answer.

https://huggingface.co/docs/inference-providers/tasks/index describes the tasks. A body is the
picture itself, or JSON with the picture in base64 and parameters.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.contract import describe
from service.errors import ParameterError, RequestError, UnsupportedMediaError
from service.job import as_json
from service.loading import Model
from service.negotiation import choose
from service.protocols.huggingface_answers import (
    Classified,
    Described,
    Detected,
    Segmented,
    classified,
    described,
    detected,
    segmented,
)
from service.protocols.picture import Asked, answer_picture, validated
from service.rendering import Rendering
from service.responses import BINARY, DEVICE, VARY, problems, schema_of
from service.state import state_of
from service.tasks import caption, classify, detect, segment, stylize
from service.uploads import from_base64

router = APIRouter(prefix="/hf", tags=["hugging face"])

#: What a picture may come as; the client asks for the first.
_ACCEPTED: Final = ("image/png", "image/jpeg", "image/webp")


class _Parameters(BaseModel):
    """Unknown parameters are refused; null stands for one that is left out."""

    model_config = ConfigDict(extra="forbid")


class ClassificationParameters(_Parameters):
    """Of image classification."""

    top_k: Annotated[int, Field(ge=1)] | None = None
    function_to_apply: Literal["softmax"] | None = None


class DetectionParameters(_Parameters):
    """Of object detection."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class SegmentationParameters(_Parameters):
    """Of image segmentation."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    subtask: Literal["semantic"] | None = None


class CaptionParameters(_Parameters):
    """Of image to text."""

    max_new_tokens: Annotated[int, Field(ge=1)] | None = None


class TargetSize(_Parameters):
    """The answer has the content's shape and is no larger than this."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]


class StyleParameters(_Parameters):
    """Of image to image: the prompt names presets."""

    prompt: Annotated[str, Field(max_length=2000)] | None = Field(
        None, description="A preset, or several with weights: `wave:0.7, fire:0.3`."
    )
    target_size: TargetSize | None = None
    alpha: float | None = None
    preserve_color: bool | None = None
    quality: int | None = None


Kind = TypeVar("Kind", bound=_Parameters)
ModelName = Annotated[
    str | None,
    Query(max_length=64, description="Which model; the task's default when left out."),
]


def _body(parameters: type[_Parameters]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {"type": "string", "contentEncoding": "base64"},
            "parameters": {"anyOf": [schema_of(parameters), {"type": "null"}]},
        },
        "additionalProperties": False,
    }
    kinds = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
    return {
        "requestBody": {
            "required": True,
            "description": "A picture, or one in base64 with parameters.",
            "content": {
                "application/json": {"schema": schema},
                **{kind: {"schema": BINARY} for kind in kinds},
            },
        }
    }


_ANSWERED = DEVICE | problems(400, 404, 408, 413, 415, 422, 429, 500, 503, 504)
_PICTURE = {
    200: {
        "headers": DEVICE[200]["headers"] | VARY,
        "content": {kind: {"schema": BINARY} for kind in _ACCEPTED},
    }
} | problems(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)


@router.post(
    "/image-classification",
    summary="InferenceClient.image_classification",
    response_model=list[Classified],
    responses=_ANSWERED,
    openapi_extra=_body(ClassificationParameters),
)
async def image_classification(request: Request, model: ModelName = None) -> Response:
    """Classify a picture."""
    return await _answer(request, classify.NAME, model, ClassificationParameters, _classify)


@router.post(
    "/object-detection",
    summary="InferenceClient.object_detection",
    response_model=list[Detected],
    responses=_ANSWERED,
    openapi_extra=_body(DetectionParameters),
)
async def object_detection(request: Request, model: ModelName = None) -> Response:
    """Detect objects in a picture."""
    return await _answer(request, detect.NAME, model, DetectionParameters, _detect)


@router.post(
    "/image-segmentation",
    summary="InferenceClient.image_segmentation",
    response_model=list[Segmented],
    responses=_ANSWERED,
    openapi_extra=_body(SegmentationParameters),
)
async def image_segmentation(request: Request, model: ModelName = None) -> Response:
    """Segment a picture."""
    return await _answer(request, segment.NAME, model, SegmentationParameters, _segment)


@router.post(
    "/image-to-text",
    summary="InferenceClient.image_to_text",
    response_model=list[Described],
    responses=_ANSWERED,
    openapi_extra=_body(CaptionParameters),
)
async def image_to_text(request: Request, model: ModelName = None) -> Response:
    """Describe a picture."""
    return await _answer(request, caption.NAME, model, CaptionParameters, _caption)


@router.post(
    "/image-to-image",
    summary="InferenceClient.image_to_image",
    response_class=Response,
    responses=_PICTURE,
    openapi_extra=_body(StyleParameters),
)
async def image_to_image(request: Request, model: ModelName = None) -> Response:
    """Give a picture the style of presets."""
    accept = ",".join(request.headers.getlist("accept"))
    understand = partial(_stylize, media_type=choose(accept, _ACCEPTED))
    response = await _answer(request, stylize.NAME, model, StyleParameters, understand)
    response.headers["Vary"] = "Accept"
    return response


# The same by the names that the tasks have here, as in InferenceClient(model=".../hf/classify").
for _task, _handler in (
    (classify, image_classification),
    (detect, object_detection),
    (segment, image_segmentation),
    (caption, image_to_text),
    (stylize, image_to_image),
):
    router.add_api_route(
        f"/{_task.NAME}", _handler, methods=["POST"], include_in_schema=False, response_model=None
    )


async def _answer(
    request: Request,
    task: str,
    name: str | None,
    parameters: type[Kind],
    understand: Callable[[bytes, Kind, Model], Asked],
) -> Response:
    model = state_of(request).registry.get(task, name)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = media_type in ("", "application/octet-stream") or media_type.startswith("image/")
    if not raw and media_type != "application/json":
        raise UnsupportedMediaError(
            f"Content-Type is {media_type[:64]}; send a picture as image/*, or application/json "
            '{"inputs": "<base64>", "parameters": {...}}'
        )

    def read(body: bytes, model: Model) -> Asked:
        image, given = (body, parameters()) if raw else _document(body, parameters)
        return understand(image, given, model)

    return await answer_picture(request, model, read)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inputs: str
    parameters: dict[str, Any] | None = None


def _document(body: bytes, parameters: type[Kind]) -> tuple[bytes, Kind]:
    try:
        document = _Document.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(f"the body is malformed: {describe(error)}") from None
    try:
        given = parameters.model_validate(document.parameters or {})
    except ValidationError as error:
        raise ParameterError(f"parameters: {describe(error)}") from None
    return from_base64(document.inputs, "'inputs'"), given


def _classify(image: bytes, given: ClassificationParameters, _: Model) -> Asked:
    top_k = 5 if given.top_k is None else min(given.top_k, 1000)
    return Asked(image, classify.Params(top_k=top_k), classified)


def _detect(image: bytes, given: DetectionParameters, _: Model) -> Asked:
    return Asked(image, detect.Params(threshold=given.threshold), detected)


def _segment(image: bytes, given: SegmentationParameters, _: Model) -> Asked:
    tell = partial(segmented, threshold=given.threshold or 0)
    return Asked(image, segment.Params(mask="png"), tell)


def _caption(image: bytes, given: CaptionParameters, model: Model) -> Asked:
    most = caption.longest(model.manifest)
    words = None if given.max_new_tokens is None else min(given.max_new_tokens, most)
    return Asked(image, caption.Params(max_length=words), described)


def _stylize(image: bytes, given: StyleParameters, _: Model, media_type: str) -> Asked:
    asked = given.model_dump(exclude={"prompt", "target_size"}, exclude_none=True)
    if given.prompt is not None:
        asked["style"] = [each.strip() for each in given.prompt.split(",")]
    if given.target_size is not None:
        asked["max_side"] = max(given.target_size.height, given.target_size.width)
    params = validated(stylize.Params, asked)
    rendering = Rendering(stylize.draw, media_type, params.picture_quality())
    return Asked(image, params, as_json, rendering, stylize.STYLES)
