"""The application: its parts put together, its life span, its error handler."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

import service
from service import playground
from service.admission import Admission
from service.answering import response_of
from service.api import router, tasks
from service.arena import configure
from service.canary import Canary
from service.device import resolve
from service.edge import Edge
from service.errors import ClientGoneError, ParameterError, SightlineError
from service.errors import problem as build_problem
from service.group import Alone, Group
from service.inference import Inference
from service.loading import Loader
from service.protocols import deepstack, huggingface, oip
from service.registry import Registry
from service.repository import router as repository
from service.run_memory import RunMemory
from service.settings import Settings
from service.state import State
from service.tasks import TASKS
from service.telemetry import Telemetry
from service.watchdog import Watchdog
from service.watching import Watcher, watch

log = logging.getLogger(__name__)

#: By the time the service stops, nobody waits any more for what is still running.
_PATIENCE_S = 2.0


def create_app(settings: Settings | None = None, group: Group | None = None) -> FastAPI:
    """Build the application.

    Args:
        settings: read from the environment if None.
        group: the processes it serves with; it is alone if None.

    Raises:
        DeviceError: the requested device does not run.
        KeysError: the file of API keys cannot be used.
        TracingError: the environment asks for traces that cannot be sent.
    """
    settings, group = settings or Settings(), group or Alone()
    edge = Edge(settings)
    configure(settings.cpu_arena_mib)
    device = resolve(settings.device, settings.cpus)
    telemetry = Telemetry()
    telemetry.describe_device(device)
    loader = Loader(
        settings,
        device,
        TASKS,
        telemetry,
        in_service=Admission(),
        memory=RunMemory(settings.run_memory_bytes),
        give_up=group.give_up,
        is_restarted=group.is_restarted,
        findings=group.findings,
    )
    registry = Registry(loader)
    inference = Inference(settings, registry, device.cpus)
    app = FastAPIOffline(  # its pages load nothing from a CDN: nothing leaves the machine
        redoc_url=None,
        title="Sightline",
        version=service.__version__,
        description="Self-hosted vision inference: POST a picture, get a typed answer.",
        lifespan=_lifespan,
        telemetry=edge.telemetry,
    )
    canary = Canary(lambda: registry.models, settings.canary_timeout_s)
    app.state.sightline = State(
        settings, device, telemetry, registry, inference, canary, edge, group
    )
    for each in (tasks, router, repository, oip.router, huggingface.router, deepstack.router):
        app.include_router(each)
    app.router.routes.extend(playground.routes(settings))
    edge.surround(app, telemetry)
    app.add_exception_handler(SightlineError, _on_sightline_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected_error)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load models while liveness is already answered; drain them at the end."""
    state: State = app.state.sightline
    settings = state.settings

    async def load() -> Watcher | None:
        watcher = (
            await asyncio.to_thread(Watcher, settings.models) if settings.watch_models else None
        )
        await state.registry.load_all_in_thread(state.group.without)
        gc.collect()
        gc.set_threshold(50_000, 20, 50)
        gc.freeze()  # what start-up made lives on; spare every later collection the walk
        return watcher

    async def follow() -> None:
        await asyncio.wait([loading])
        failed = loading.cancelled() or loading.exception()
        if not failed and (watcher := loading.result()) is not None:
            await watch(state.registry, watcher, settings.watch_interval_s)

    loading = asyncio.create_task(load())
    following = asyncio.create_task(follow())
    watchdog = Watchdog(state.registry, settings.run_timeout_s, state.group.give_up)
    watching = asyncio.create_task(watchdog.watch())
    for task in (loading, following, watching):
        task.add_done_callback(_log_failure)
    await state.group.join(asyncio.shield(loading), state.telemetry.registry, state.registry.apply)
    async with state.edge.at_work():
        yield
    for task in (watching, following):
        task.cancel()
    await state.registry.close(_PATIENCE_S)
    await asyncio.wait([loading], timeout=_PATIENCE_S)
    await state.inference.close(_PATIENCE_S)
    await state.group.leave()


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.critical("what should have gone on failed", exc_info=error)


async def _on_sightline_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SightlineError)
    if isinstance(error, ClientGoneError):
        return Response(status_code=error.status)
    return response_of(error.problem(), request.url.path, error.headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(
        f"{'.'.join(map(str, item['loc'][1:])) or item['loc'][0]}: {item['msg']}"
        for item in error.errors()
    )
    return response_of(ParameterError(detail).problem(), request.url.path)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    found = build_problem(error.status_code, error.detail)
    return response_of(found, request.url.path, error.headers)


async def _on_unexpected_error(request: Request, _: Exception) -> Response:
    found = SightlineError("an unexpected error; the log has the details").problem()
    return response_of(found, request.url.path)
