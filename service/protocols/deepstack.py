"""What cameras' software asks of DeepStack and CodeProject.AI Server.

https://docs.deepstack.cc and https://codeproject.github.io/codeproject.ai/api/api_reference.html
"""

import math
from collections import Counter
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field, ValidationError

from service.contract import describe
from service.device import Kind
from service.errors import NotReadyError, ParameterError, RequestError, UnsupportedMediaError
from service.loading import Model
from service.protocols.picture import Asked, answer_picture
from service.responses import BINARY, DEVICE, problems
from service.state import StateOf
from service.task import Answered
from service.tasks import classify, detect
from service.uploads import boundary_of, parse_form

router = APIRouter(prefix="/v1/vision", tags=["deepstack"])

#: Frigate's plugin has room for so many and fails at one more.
MAX_PREDICTIONS: Final = 20
#: Scores of both services' clients that say none.
_MIN_CONFIDENCE: Final = 0.4
_MAX_PARTS: Final = 16
_PICTURE: Final = ("image", "image1", "file")


class Prediction(BaseModel):
    """An object, in whole pixels of the upright picture."""

    label: str
    confidence: float
    x_min: int
    y_min: int
    x_max: int
    y_max: int


class _Told(BaseModel):
    """What all answers have."""

    success: bool = True
    message: str
    inferenceMs: int = Field(description="The model's run.")  # noqa: N815 - the client's name
    processMs: int = Field(description="Decoding, the run and what is between.")  # noqa: N815
    analysisRoundTripMs: int = Field(description="From the body to the answer.")  # noqa: N815
    duration: float = Field(description="The same in seconds.")
    moduleId: str = "sightline"  # noqa: N815
    moduleName: str = Field(description="The model.")  # noqa: N815
    command: str
    code: int = 200
    executionProvider: str  # noqa: N815
    canUseGPU: bool  # noqa: N815


class Detections(_Told):
    """The objects, the surest first."""

    count: int
    predictions: Annotated[list[Prediction], Field(max_length=MAX_PREDICTIONS)]


class Scene(_Told):
    """What the whole picture shows."""

    label: str
    confidence: float


class CustomModels(BaseModel):
    """The names that ``/v1/vision/custom/{model}`` takes."""

    success: bool = True
    models: list[str]
    moduleId: str = "sightline"  # noqa: N815
    moduleName: str = "Sightline"  # noqa: N815
    command: str = "list-custom"
    code: int = 200


class _Fields(BaseModel):
    """What a form may say besides its picture; the rest is for other servers."""

    min_confidence: Annotated[float, Field(ge=0, le=1)] = _MIN_CONFIDENCE


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A form with a picture. `api_key` and unknown fields are ignored.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": BINARY,
                        "min_confidence": {
                            "type": "number",
                            "minimum": 0,
                            "maximum": 1,
                            "default": _MIN_CONFIDENCE,
                        },
                        "api_key": {"type": "string"},
                    },
                }
            }
        },
    }
}
_ANSWERED = DEVICE | problems(400, 404, 408, 413, 415, 422, 429, 500, 503, 504)


@router.post(
    "/detection",
    summary="Objects, as DeepStack tells them",
    response_model=Detections,
    responses=_ANSWERED,
    openapi_extra=_FORM,
)
async def detection(request: Request, state: StateOf) -> Response:
    """Detect objects with the default detector; the surest 20 at most."""
    return await _answer(request, state.registry.get(detect.NAME))


@router.post(
    "/scene",
    summary="What a picture shows, as DeepStack tells it",
    response_model=Scene,
    responses=_ANSWERED,
    openapi_extra=_FORM,
)
async def scene(request: Request, state: StateOf) -> Response:
    """The most likely label of the default classifier."""
    return await _answer(request, state.registry.get(classify.NAME))


@router.post("/custom/list", summary="Detectors by name", responses=problems(503))
async def custom_list(state: StateOf) -> CustomModels:
    """List the detectors that serve."""
    if not state.registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    models = state.registry.models.values()
    names = [each.manifest.name for each in models if each.manifest.task == detect.NAME]
    return CustomModels(models=names)


@router.post(
    "/custom/{model}",
    summary="Objects that a named detector finds, as DeepStack tells them",
    response_model=Detections,
    responses=_ANSWERED,
    openapi_extra=_FORM,
)
async def custom(
    request: Request, model: Annotated[str, Path(max_length=64)], state: StateOf
) -> Response:
    """Detect objects with one of the detectors; the surest 20 at most."""
    return await _answer(request, state.registry.get(detect.NAME, model))


async def _answer(request: Request, model: Model) -> Response:
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise UnsupportedMediaError("send multipart/form-data with a picture in the field 'image'")
    return await answer_picture(request, model, partial(_understand, boundary))


def _understand(boundary: bytes, body: bytes, model: Model) -> Asked:
    parts = {part.name: part.data for part in parse_form(body, boundary, _MAX_PARTS)}
    image = next((parts[name] for name in _PICTURE if name in parts), None)
    if image is None:
        raise RequestError("the form has no picture in the field 'image'")
    given = {
        name: parts[name].decode("utf-8", "replace")
        for name in _Fields.model_fields
        if parts.get(name)
    }
    try:
        fields = _Fields.model_validate(given)
    except ValidationError as error:
        raise ParameterError(describe(error)) from None
    kind = model.device.kind
    if model.manifest.task == classify.NAME:
        return Asked(image, classify.Params(top_k=1), partial(of_scene, kind=kind))
    params = detect.Params(threshold=fields.min_confidence, max_detections=MAX_PREDICTIONS)
    return Asked(image, params, partial(detections, kind=kind))


def detections(answered: Answered, kind: Kind) -> bytes:
    """Objects, the surest first, their boxes widened to whole pixels."""
    assert isinstance(answered, detect.Result)
    predictions = [
        Prediction(
            label=each.label,
            confidence=each.score,
            x_min=math.floor(each.box.x_min),
            y_min=math.floor(each.box.y_min),
            x_max=math.ceil(each.box.x_max),
            y_max=math.ceil(each.box.y_max),
        )
        for each in answered.detections[:MAX_PREDICTIONS]
    ]
    found = Counter(each.label for each in predictions)
    names = ", ".join(f"{label} ({count})" for label, count in found.items())
    told = Detections(
        **_common(answered, kind, "detect"),
        message=f"Found {names}" if names else "No objects found",
        count=len(predictions),
        predictions=predictions,
    )
    return told.model_dump_json().encode()


def of_scene(answered: Answered, kind: Kind) -> bytes:
    """The most likely label."""
    assert isinstance(answered, classify.Result)
    (best,) = answered.predictions
    told = Scene(
        **_common(answered, kind, "scene"),
        message=f"Found {best.label}",
        label=best.label,
        confidence=best.score,
    )
    return told.model_dump_json().encode()


def _common(answered: Answered, kind: Kind, command: str) -> dict[str, Any]:
    timing = answered.timing_ms
    return {
        "inferenceMs": round(timing.run),
        "processMs": round(timing.decode + timing.run),
        "analysisRoundTripMs": round(timing.total),
        "duration": round(timing.total / 1e3, 6),
        "moduleName": answered.model.name,
        "command": command,
        "executionProvider": kind.upper(),
        "canUseGPU": kind == "cuda",
    }
