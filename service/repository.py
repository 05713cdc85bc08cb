"""Routes of Triton's model repository extension: what there is, load it, unload it.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from service.contract import read_manifest
from service.errors import (
    PROBLEM_JSON,
    ConflictError,
    DisabledError,
    ModelError,
    NotReadyError,
    ParameterError,
)
from service.registry import Registry, model_folders
from service.state import State, StateOf

TAG = "repository"
"""Marks the routes of this module in the API's document."""

router = APIRouter(prefix="/v2/repository", tags=[TAG])

_MEANING = {
    403: "The setting `allow_repository_control` does not allow it.",
    404: "There is no such model.",
    409: "Several workers serve, and each would have to be told.",
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


async def _control(state: StateOf) -> Registry:
    """The registry, for clients that may change what is served.

    Raises:
        DisabledError: the settings allow that to nobody.
        ConflictError: other processes serve as well, which would not hear of it.
    """
    if not state.settings.allow_repository_control:
        raise DisabledError(
            "models are not loaded or unloaded by request here; the setting "
            "allow_repository_control (SIGHTLINE_ALLOW_REPOSITORY_CONTROL=true) allows it"
        )
    if getattr(state.settings, "workers", 1) > 1:
        raise ConflictError(
            "several workers serve, and a request reaches one of them; with the setting "
            "watch_models each loads what is put into the models folder"
        )
    return state.registry


Control = Annotated[Registry, Depends(_control)]


@router.post(
    "/index",
    summary="The models there are, and whether they serve",
    response_model_exclude_none=True,
    responses=_problems(422, 503),
)
async def index(
    state: StateOf, wanted: Annotated[IndexRequest | None, Body()] = None
) -> list[IndexEntry]:
    """List the models folder and what serves of it.

    A model that serves while what is in its folder now is refused has two entries.
    """
    if not state.registry.ready:
        raise NotReadyError("models are still loading, or the service is stopping")
    on_disk = {} if wanted and wanted.ready else await asyncio.to_thread(_on_disk, state)
    return list(_entries(state.registry, on_disk, only_ready=bool(wanted and wanted.ready)))


@router.post(
    "/models/{name}/load",
    summary="Load a model, or what is in its folder now",
    response_class=Response,
    responses=_problems(403, 404, 409, 422, 429, 500, 503),
    response_description="It serves.",
)
async def load(
    name: ModelName, registry: Control, wanted: Annotated[ChangeRequest | None, Body()] = None
) -> Response:
    """Load what a model's folder holds now; answers once it serves.

    Files are held against their hashes, golden outputs are replayed, runs are warmed, and only then
    does it take the place of what served before, which finishes the requests it has. A model that
    fails any of it is refused, and what served before goes on.
    """
    _take_no_parameters(wanted)
    try:
        await registry.load(name)
    except asyncio.CancelledError:  # the server is past its grace; an answer is owed still
        raise NotReadyError("the service stopped before the model was loaded") from None
    return Response()


@router.post(
    "/models/{name}/unload",
    summary="Take a model out of service",
    response_class=Response,
    responses=_problems(403, 404, 409, 422, 503),
    response_description="It is gone.",
)
async def unload(
    name: ModelName, registry: Control, wanted: Annotated[ChangeRequest | None, Body()] = None
) -> Response:
    """Give a model no more requests; answers once those it has are done and its memory is free."""
    _take_no_parameters(wanted, passed_over={"unload_dependents"})
    try:
        await registry.unload(name)
    except asyncio.CancelledError:
        raise NotReadyError("the service stopped before the model was unloaded") from None
    return Response()


def _take_no_parameters(
    wanted: ChangeRequest | None, passed_over: frozenset[str] | set[str] = frozenset()
) -> None:
    if wanted and (unknown := sorted(wanted.parameters.keys() - passed_over)):
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
