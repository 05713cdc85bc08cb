"""Every route of the service, spelled out."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, TypeAdapter

from service.canary import told
from service.contract import Manifest, Precision
from service.device import Kind
from service.errors import NotReadyError, Problem
from service.etag import unless_known
from service.exposition import exposition
from service.loading import Model
from service.rendering import MEDIA_TYPES
from service.responses import BINARY, DEVICE, VARY, problems
from service.route import TaskRoute
from service.state import State, StateOf, state_of
from service.task import Companions, Draw, Params
from service.tasks import caption, classify, detect, segment, stylize

router = APIRouter()
tasks = APIRouter(route_class=TaskRoute, tags=["tasks"])


_IMAGE_PROBLEMS = problems(400, 404, 408, 413, 415, 422, 429, 500, 503, 504)


def _drawn(description: str, pictures: Mapping[str, Draw]) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "description": description,
            "headers": DEVICE[200]["headers"] | VARY,
            "content": {media_type: {"schema": BINARY} for media_type in pictures},
        }
    }


_IMAGE_TYPES = ("jpeg", "png", "webp", "gif", "bmp", "tiff")
_IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One or several pictures: JPEG, PNG, WebP, GIF (first frame), BMP or TIFF.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {"type": "array", "items": BINARY, "minItems": 1}},
                }
            },
            **{f"image/{kind}": {"schema": BINARY} for kind in _IMAGE_TYPES},
            "application/octet-stream": {"schema": BINARY},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "additionalProperties": False,
                    "properties": {"image": {"type": "string", "contentEncoding": "base64"}},
                }
            },
        },
    }
}


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


class Health(BaseModel):
    """The process is alive."""

    status: str


class Readiness(BaseModel):
    """Whether requests can be answered, and what is less than it should be."""

    ready: bool
    device: Kind
    degraded: str | None
    models: list[str]
    refused: dict[str, str]


class ModelTrial(BaseModel):
    """What came of a golden input that a model was just run with."""

    duration_ms: float
    deviation: float


class CanaryResult(BaseModel):
    """Models that answered a golden input right."""

    models: dict[str, ModelTrial]
    age_s: float


class ModelSummary(BaseModel):
    """A model on offer."""

    name: str
    version: str
    task: str
    description: str
    precision: Precision
    default: bool


class ModelDetail(ModelSummary):
    """A model on offer, with its whole manifest."""

    device: Kind
    slots: int
    max_batch: int
    golden_deviation: float
    load_s: float
    manifest: Manifest


@tasks.post(
    "/classify",
    summary="Which of the model's labels a picture shows",
    response_model=classify.Result | list[classify.Result | Problem],
    responses=DEVICE | _IMAGE_PROBLEMS,
    openapi_extra=_IMAGE_BODY,
)
async def classify_images(
    request: Request, params: Annotated[classify.Params, Query()]
) -> Response:
    """Classify one picture, or each of several in order."""
    return await _answer(request, classify.NAME, params)


_DETECTIONS: Mapping[str, Draw] = dict.fromkeys(MEDIA_TYPES, detect.draw)


@tasks.post(
    "/detect",
    summary="Where objects are in a picture, and what they are",
    response_model=detect.Result | list[detect.Result | Problem],
    responses=_drawn(
        "JSON, or one picture with the answer drawn on it, as `Accept` asks.", _DETECTIONS
    )
    | _IMAGE_PROBLEMS
    | problems(406),
    openapi_extra=_IMAGE_BODY,
)
async def detect_objects(request: Request, params: Annotated[detect.Params, Query()]) -> Response:
    """Detect objects in one picture, or in each of several in order.

    With `Accept: image/jpeg`, `image/png` or `image/webp`, one picture comes back with its
    detections drawn on it.
    """
    return await _answer(request, detect.NAME, params, _DETECTIONS)


_MASKS: Mapping[str, Draw] = {
    "image/jpeg": segment.draw_overlay,
    "image/webp": segment.draw_overlay,
    "image/png": segment.draw_mask,
}


@tasks.post(
    "/segment",
    summary="Which of the model's labels each pixel of a picture belongs to",
    response_model=segment.Result | list[segment.Result | Problem],
    responses=_drawn(
        "JSON, or as `Accept` asks the mask as an indexed PNG, or the picture with the classes "
        "coloured as JPEG or WebP.",
        _MASKS,
    )
    | _IMAGE_PROBLEMS
    | problems(406),
    openapi_extra=_IMAGE_BODY,
)
async def segment_images(request: Request, params: Annotated[segment.Params, Query()]) -> Response:
    """Segment one picture, or each of several in order.

    With `Accept: image/png`, one picture comes back as its mask, an indexed PNG whose pixels are
    positions of labels; with `Accept: image/jpeg` or `image/webp` it comes back with its classes
    coloured and a legend.
    """
    return await _answer(request, segment.NAME, params, _MASKS)


@tasks.post(
    "/caption",
    summary="What a picture shows, as a sentence",
    response_model=caption.Result | list[caption.Result | Problem],
    responses=DEVICE | _IMAGE_PROBLEMS,
    openapi_extra=_IMAGE_BODY,
)
async def caption_images(request: Request, params: Annotated[caption.Params, Query()]) -> Response:
    """Describe one picture, or each of several in order."""
    return await _answer(request, caption.NAME, params)


_STYLIZED: Mapping[str, Draw] = dict.fromkeys(MEDIA_TYPES, stylize.draw)
_CONTENT_BODY: dict[str, Any] = {
    "requestBody": {
        **_IMAGE_BODY["requestBody"],
        "description": "The content, in a form also pictures whose styles it is to have: JPEG, "
        "PNG, WebP, GIF (first frame), BMP or TIFF.",
        "content": {
            **_IMAGE_BODY["requestBody"]["content"],
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "oneOf": [{"required": ["content"]}, {"required": ["file"]}],
                    "additionalProperties": False,
                    "properties": {
                        "content": {**BINARY, "description": "The picture to restyle."},
                        "file": {**BINARY, "description": "Another name for `content`."},
                        "style": {
                            "type": "array",
                            "items": BINARY,
                            "description": "Pictures whose styles are mixed, with presets. A "
                            "short text is a preset's name, as in the query.",
                        },
                    },
                }
            },
        },
    }
}


@tasks.post(
    "/stylize",
    summary="The content of one picture in the style of others",
    response_class=Response,
    responses=_drawn("The picture, as JPEG unless `Accept` asks for another.", _STYLIZED)
    | _IMAGE_PROBLEMS
    | problems(406),
    openapi_extra=_CONTENT_BODY,
)
async def stylize_image(request: Request, params: Annotated[stylize.Params, Query()]) -> Response:
    """Give a picture the style of pictures that come with it, of presets, or of a mix of them.

    The answer is the picture, upright, without the original's metadata, and no larger than the
    model runs.
    """
    return await _answer(
        request, stylize.NAME, params, _STYLIZED, in_json=False, companions=stylize.STYLES
    )


_TAGGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "ETag": {
                "description": "Of this list; `If-None-Match` with it is answered 304.",
                "required": True,
                "schema": {"type": "string"},
            }
        }
    },
    304: {"description": "The list is still the one that `If-None-Match` names."},
}
_PRESETS = TypeAdapter(list[stylize.PresetShown])


@router.get(
    "/styles",
    tags=["models"],
    summary="The presets for `/stylize`",
    response_model=list[stylize.PresetShown],
    responses=_TAGGED | problems(404, 422, 503),
)
async def list_styles(
    request: Request, state: StateOf, model: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """List the styles that need no picture, of all models or of the one named."""
    if not state.registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    asked = (
        [state.registry.get(stylize.NAME, model)]
        if model is not None
        else state.registry.models.values()
    )
    presets = [
        preset
        for each in asked
        if each.manifest.task == stylize.NAME
        for preset in stylize.shown(each.manifest, each.assets)
    ]
    return unless_known(request, _PRESETS.dump_json(presets), "application/json")


@router.get("/models", tags=["models"], summary="The models on offer")
async def list_models(state: StateOf) -> list[ModelSummary]:
    """List the models that serve."""
    return [ModelSummary(**_summary(state, model)) for model in state.registry.models.values()]


@router.get(
    "/models/{name}", tags=["models"], summary="One model", responses=problems(404, 422, 503)
)
async def show_model(name: Annotated[str, Path(max_length=64)], state: StateOf) -> ModelDetail:
    """Show a model's manifest and how it is run."""
    model = state.registry.named(name)
    return ModelDetail(
        **_summary(state, model),
        device=model.device.kind,
        slots=model.batcher.slots,
        max_batch=model.batcher.max_batch,
        golden_deviation=model.deviation,
        load_s=model.load_s,
        manifest=model.manifest,
    )


@router.get("/healthz", tags=["operations"], summary="Is the process alive?")
async def healthz() -> Health:
    """Answer as long as the event loop runs."""
    return Health(status="ok")


@router.get(
    "/readyz", tags=["operations"], summary="Can requests be answered?", responses=problems(503)
)
async def readyz(state: StateOf) -> Readiness:
    """Answer 200 once models are loaded and until the service stops."""
    registry = state.registry
    if not registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    if not registry.models:
        why = "; ".join(f"{name}: {reason}" for name, reason in registry.refused.items())
        raise NotReadyError(f"no model is served ({why or 'the models folder is empty'})")
    return Readiness(
        ready=True,
        device=state.device.kind,
        degraded=state.device.degraded,
        models=list(registry.models),
        refused=registry.refused,
    )


@router.get(
    "/healthz/inference",
    tags=["operations"],
    summary="Do models answer, and right?",
    responses=problems(404, 422, 503),
)
async def canary(
    state: StateOf, model: Annotated[str | None, Query(max_length=64)] = None
) -> CanaryResult:
    """Run a golden input of each model, or tell what came of it a moment ago.

    Every model goes through its own queue, first in it, and has `canary_timeout_s` to answer. What
    came of it is told again for a second, or for 10 times as long as the runs took.
    """
    if not state.registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    results = await state.canary.results()
    trials = told(results, model)
    return CanaryResult(
        models={
            name: ModelTrial(duration_ms=trial.ms, deviation=trial.deviation)
            for name, trial in trials.items()
        },
        age_s=round(time.monotonic() - results.ended, 3),
    )


@router.get(
    "/metrics",
    tags=["operations"],
    summary="Prometheus metrics",
    response_class=Response,
    responses=_TEXT | problems(503),
)
async def metrics(state: StateOf) -> Response:
    """Every metric in the Prometheus text format, of all workers together."""
    return Response(exposition(await state.group.metrics()), media_type=CONTENT_TYPE_LATEST)


async def _answer(
    request: Request,
    task: str,
    params: Params,
    pictures: Mapping[str, Draw] | None = None,
    *,
    in_json: bool = True,
    companions: Companions | None = None,
) -> Response:
    state = state_of(request)
    response = await state.inference.answer(
        request, task, params, pictures or {}, in_json=in_json, companions=companions
    )
    response.headers["Sightline-Device"] = state.device_header
    if pictures:
        response.headers["Vary"] = "Accept"
    return response


def _summary(state: State, model: Model) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "description": manifest.description,
        "precision": model.precision,
        "default": state.registry.is_default(model),
    }
