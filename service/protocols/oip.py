"""The Open Inference Protocol v2 over REST, with Triton's extensions.

https://github.com/kserve/open-inference-protocol and
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request, Response

import service
from service.errors import NotFoundError, NotReadyError, TooLargeError
from service.inference import Inference
from service.loading import Model
from service.protocols import oip_metadata as told
from service.protocols.oip_document import InferenceRequest, inflate
from service.protocols.oip_request import read_request
from service.protocols.oip_response import write
from service.protocols.oip_run import run
from service.responses import BINARY, DEVICE, problems, schema_of
from service.state import State, StateOf

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

#: Taking more bytes than this apart would hold up the event loop.
_LARGE_BYTES = 1 << 14
_HEADER = "Inference-Header-Content-Length"

Name = Annotated[str, Path(max_length=64)]
Version = Annotated[str, Path(max_length=64)]
_OF_MODEL = problems(404, 422, 503)
Value = TypeVar("Value")


@router.get("", summary="Which server this is")
async def server_metadata() -> told.ServerMetadata:
    """Name, version and the extensions of the protocol that are there."""
    return told.ServerMetadata(
        name="sightline", version=service.__version__, extensions=told.EXTENSIONS
    )


@router.get("/health/live", summary="Is the process alive?")
async def server_live() -> told.ServerLive:
    """Answer as long as the event loop runs."""
    return told.ServerLive(live=True)


@router.get("/health/ready", summary="Can requests be answered?", responses=problems(503))
async def server_ready(state: StateOf) -> told.ServerReady:
    """Answer 200 once models are loaded and until the service stops."""
    if not state.registry.ready or not state.registry.models:
        raise NotReadyError("no model is served: see /readyz")
    return told.ServerReady(ready=True)


@router.get("/models/stats", summary="What all models have done", responses=problems(503))
async def statistics_of_all(state: StateOf) -> told.Statistics:
    """Counts and times of every model since it was loaded."""
    if not state.registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    models = state.registry.models.values()
    return told.Statistics(model_stats=[told.statistics(model) for model in models])


@router.get("/models/{name}", summary="A model's inputs and outputs", responses=_OF_MODEL)
@router.get(
    "/models/{name}/versions/{version}",
    summary="A model's inputs and outputs",
    responses=_OF_MODEL,
)
async def model_metadata(
    name: Name, state: StateOf, version: Version | None = None
) -> told.ModelMetadata:
    """The tensors of the graph that runs; ``images`` may also come as BYTES: encoded pictures."""
    return told.metadata(_find(state, name, version))


@router.get("/models/{name}/ready", summary="Does a model serve?", responses=_OF_MODEL)
@router.get(
    "/models/{name}/versions/{version}/ready",
    summary="Does a model serve?",
    responses=_OF_MODEL,
)
async def model_ready(
    name: Name, state: StateOf, version: Version | None = None
) -> told.ModelReady:
    """Answer 200 while the model is there."""
    return told.ModelReady(name=_find(state, name, version).manifest.name, ready=True)


@router.get("/models/{name}/config", summary="How a model is run", responses=_OF_MODEL)
@router.get(
    "/models/{name}/versions/{version}/config", summary="How a model is run", responses=_OF_MODEL
)
async def model_config(
    name: Name, state: StateOf, version: Version | None = None
) -> told.ModelConfig:
    """What of Triton's model configuration has a meaning here."""
    return told.config(_find(state, name, version))


@router.get("/models/{name}/stats", summary="What a model has done", responses=_OF_MODEL)
@router.get(
    "/models/{name}/versions/{version}/stats",
    summary="What a model has done",
    responses=_OF_MODEL,
)
async def model_statistics(
    name: Name, state: StateOf, version: Version | None = None
) -> told.Statistics:
    """Counts and times of a model since it was loaded."""
    return told.Statistics(model_stats=[told.statistics(_find(state, name, version))])


_INFER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The document, or the document and behind it the bytes of the inputs that "
        f"have a `binary_data_size`; `{_HEADER}` says how long the document is then. "
        "`Content-Encoding` may be gzip or deflate.",
        "content": {
            "application/json": {"schema": schema_of(InferenceRequest)},
            "application/octet-stream": {"schema": BINARY},
        },
    },
    "parameters": [
        {
            "name": _HEADER,
            "in": "header",
            "required": False,
            "description": "Bytes of the document at the start of the body.",
            "schema": {"type": "integer", "minimum": 0},
        }
    ],
}
_OUTCOME: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A document with the outputs, and behind it the bytes of those asked for "
        f"as bytes; `{_HEADER}` says how long the document is then.",
        "headers": DEVICE[200]["headers"],
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model_name", "model_version", "outputs"],
                    "properties": {
                        "model_name": {"type": "string"},
                        "model_version": {"type": "string"},
                        "id": {"type": "string"},
                        "outputs": {"type": "array", "items": {"type": "object"}},
                    },
                }
            },
            "application/octet-stream": {"schema": BINARY},
        },
    }
}
_INFERRED = _OUTCOME | problems(400, 404, 408, 413, 415, 422, 429, 500, 503, 504)


@router.post(
    "/models/{name}/infer",
    summary="Run a model on tensors or encoded pictures",
    response_class=Response,
    responses=_INFERRED,
    openapi_extra=_INFER_BODY,
)
@router.post(
    "/models/{name}/versions/{version}/infer",
    summary="Run a model on tensors or encoded pictures",
    response_class=Response,
    responses=_INFERRED,
    openapi_extra=_INFER_BODY,
)
async def infer(
    request: Request, name: Name, state: StateOf, version: Version | None = None
) -> Response:
    """Run the graph on tensors as it takes them, or the task on encoded pictures.

    The latter come as BYTES of shape ``[N]`` in the place of ``images``. They are decoded and
    resized as those of our own routes are; their output ``answer`` is that route's JSON.
    """
    model = _find(state, name, version)
    inference = state.inference
    with inference.attending(model) as take:
        body = await inference.read(request, take)
        encoding = request.headers.get("content-encoding", "")
        if encoding:
            max_bytes = state.settings.max_body_bytes
            body = await _do(inference, partial(inflate, body, encoding, max_bytes), len(body))
            take(len(body))
        length = request.headers.get(_HEADER)
        asked = await _do(inference, partial(read_request, body, length, model), len(body))
        if len(asked.pictures) > state.settings.max_files:
            raise TooLargeError(
                f"{len(asked.pictures)} pictures are more than the {state.settings.max_files} that "
                "a request may have"
            )
        async with inference.working(request, model, asked.items) as deadline:
            if asked.timeout_s is not None:
                deadline = min(deadline, time.monotonic() + asked.timeout_s)
            results = await run(inference, model, asked, state.settings.limits, deadline)
            size = sum(array.nbytes for result in results for array in result.values())
            written = await _do(inference, partial(write, asked, results, model.manifest), size)
        response = inference.respond(model, written.body, written.media_type)
    if written.header_length is not None:
        response.headers[_HEADER] = str(written.header_length)
    response.headers["Sightline-Device"] = state.device_header
    return response


async def _do(inference: Inference, work: Callable[[], Value], size: int) -> Value:
    """Do at once what is little work, and in a thread what is much."""
    return await inference.compute(work) if size > _LARGE_BYTES else work()


def _find(state: State, name: str, version: str | None) -> Model:
    """The model of a path.

    Raises:
        NotReadyError: models are still loading.
        NotFoundError: there is none, or it has another version.
    """
    model = state.registry.named(name)
    if version not in (None, model.manifest.version):
        raise NotFoundError(
            f"model {name!r} has no version {version!r}; it has {model.manifest.version!r}"
        )
    return model
