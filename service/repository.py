"""Routes of Triton's model repository extension: what there is, load it, unload it.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.contract import describe, read_manifest
from service.errors import (
    PROBLEM_JSON,
    DisabledError,
    ModelError,
    NotReadyError,
    ParameterError,
)
from service.group import Change, Group
from service.registry import Registry, model_folders
from service.state import State, StateOf
from service.uploads import read_body

TAG = "repository"
"""Marks the routes of this module in the API's document."""

router = APIRouter(prefix="/v2/repository", tags=[TAG])

_MAX_BODY_BYTES = 1 << 16
_Body = TypeVar("_Body", bound=BaseModel)
_MEANING = {
    403: "The setting `allow_repository_control` does not allow it.",
    404: "There is no such model.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    422: "The model cannot be served, what served before goes on; or a parameter is refused.",
    429: "Too many loads wait.",
    500: "The model could not be loaded for a reason that the log tells.",
    503: "Models are still loading at start-up, or the service is stopping.",
}


_Responses = dict[int | str, dict[str, Any]]


def _problems(*statuses: int) -> _Responses:
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANING[status], "content": content} for status in statuses}


class IndexRequest(BaseModel):
    """What to list."""

    model_config = ConfigDict(extra="forbid")

    ready: bool = Field(False, description="Only what serves.")


class IndexEntry(BaseModel):
    """A model that serves, or a folder that does not."""

    name: str
    version: str | None = Field(None, description="Left out where the manifest cannot be read.")
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(description="Why it does not serve; empty if it does.")


class ChangeRequest(BaseModel):
    """What Triton's clients may send along; of the parameters none is taken."""

    model_config = ConfigDict(extra="forbid")

    parameters: Mapping[str, bool | int | float | str] = Field(default_factory=dict)


ModelName = Annotated[str, Path(max_length=64, description="Name of the model and its folder.")]


async def _control(state: StateOf) -> Group:
    """All processes that serve, for clients that may change what they serve.

    Raises:
        DisabledError: the settings allow that to nobody.
    """
    if not state.settings.allow_repository_control:
        raise DisabledError(
            "models are not loaded or unloaded by request here; the setting "
            "allow_repository_control (SIGHTLINE_ALLOW_REPOSITORY_CONTROL=true) allows it"
        )
    return state.group


Control = Annotated[Group, Depends(_control)]


def _json_body(model: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": False, "content": content}}


@router.post(
    "/index",
    summary="The models there are, and whether they serve",
    response_model_exclude_none=True,
    responses=_problems(408, 413, 422, 503),
    openapi_extra=_json_body(IndexRequest),
)
async def index(request: Request, state: StateOf) -> list[IndexEntry]:
    """List the models folder and what serves of it.

    A model that serves while what is in its folder now is refused has two entries.
    """
    only_ready = (await _read(request, IndexRequest, state)).ready
    if not state.registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    on_disk = {} if only_ready else await asyncio.to_thread(_on_disk, state)
    return list(_entries(state.registry, on_disk, only_ready=only_ready))


@router.post(
    "/models/{name}/load",
    summary="Load a model, or what is in its folder now",
    response_class=Response,
    response_description="It serves.",
    responses=_problems(403, 404, 408, 413, 422, 429, 500, 503),
    openapi_extra=_json_body(ChangeRequest),
)
async def load(request: Request, name: ModelName, state: StateOf, group: Control) -> Response:
    """Load what a model's folder holds now; answers once it serves.

    Files are held against their hashes, golden outputs are replayed, runs are warmed, and only then
    does it take the place of what served before, which finishes the requests it has. A model that
    fails any of it is refused, and what served before goes on. Several workers load one after the
    other.
    """
    _take_no_parameters(await _read(request, ChangeRequest, state))
    try:
        await group.change(Change("load", name))
    except asyncio.CancelledError:  # the server is past its grace; an answer is owed still
        raise NotReadyError("the service stopped before the model was loaded") from None
    return Response()


@router.post(
    "/models/{name}/unload",
    summary="Take a model out of service",
    response_class=Response,
    response_description="It is gone.",
    responses=_problems(403, 404, 408, 413, 422, 503),
    openapi_extra=_json_body(ChangeRequest),
)
async def unload(request: Request, name: ModelName, state: StateOf, group: Control) -> Response:
    """Give a model no more requests; answers once those it has are done and its memory is free."""
    _take_no_parameters(await _read(request, ChangeRequest, state), besides=("unload_dependents",))
    try:
        await group.change(Change("unload", name))
    except asyncio.CancelledError:
        raise NotReadyError("the service stopped before the model was unloaded") from None
    return Response()


async def _read(request: Request, model: type[_Body], state: State) -> _Body:
    """The JSON of a request's body, whatever its Content-Type; the defaults if it is empty.

    Raises:
        RequestError: it is not that, too large or too slow.
    """
    timeout_s = state.settings.body_timeout_s
    body = await read_body(request, max_bytes=_MAX_BODY_BYTES, timeout_s=timeout_s)
    try:
        return model.model_validate_json(body) if body.strip() else model()
    except ValidationError as error:
        raise ParameterError(describe(error, "the body")) from None


def _take_no_parameters(wanted: ChangeRequest, besides: Collection[str] = ()) -> None:
    if unknown := sorted(wanted.parameters.keys() - set(besides)):
        raise ParameterError(
            f"parameters: {unknown[0][:64]!r} is not taken; a model is what its folder holds"
        )


def _on_disk(state: State) -> Mapping[str, str | None]:
    """Model folders by name, each with its manifest's version if it can be read."""
    found: dict[str, str | None] = {}
    for folder in model_folders(state.settings.models):
        try:
            found[folder.name] = read_manifest(folder).version
        except ModelError:
            found[folder.name] = None
    return found


def _entries(
    registry: Registry, on_disk: Mapping[str, str | None], *, only_ready: bool
) -> Iterator[IndexEntry]:
    for name in sorted({*registry.models, *registry.refused, *on_disk}):
        if name in registry.models:
            version = registry.models[name].manifest.version
            yield IndexEntry(name=name, version=version, state="READY", reason="")
        if only_ready:
            continue
        if name in registry.refused or name not in registry.models:
            yield IndexEntry(
                name=name,
                version=on_disk.get(name),
                state="UNAVAILABLE",
                reason=registry.refused.get(name, "not loaded"),
            )
