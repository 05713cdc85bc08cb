"""The application: its parts put together, its life span, its error handler."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

import service
from service.admission import Admission
from service.answering import response_of
from service.api import router, tasks
from service.canary import Canary
from service.device import resolve
from service.edge import Edge
from service.errors import ClientGoneError, ParameterError, SightlineError
from service.errors import problem as build_problem
from service.inference import Inference
from service.loading import Loader
from service.registry import Registry
from service.repository import router as repository
from service.run_memory import RunMemory
from service.session import configure
from service.settings import Settings
from service.state import State
from service.tasks import TASKS
from service.telemetry import Telemetry
from service.watching import Watcher, watch

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application.

    Raises:
        DeviceError: the requested device does not run.
        KeysError: the file of API keys cannot be used.
        TracingError: the environment asks for traces that cannot be sent.
    """
    settings = settings or Settings()
    edge = Edge(settings)
    configure(settings.cpu_arena_mib)
    device = resolve(settings.device, settings.cpus)
    telemetry = Telemetry()
    telemetry.describe_device(device)
    memory = RunMemory(settings.run_memory_bytes)
    loader = Loader(settings, device, TASKS, telemetry, in_service=Admission(), memory=memory)
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
    app.state.sightline = State(settings, device, telemetry, registry, inference, canary, edge)
    for each in (tasks, router, repository):
        app.include_router(each)
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

    async def load() -> None:
        watcher = (
            await asyncio.to_thread(Watcher, settings.models) if settings.watch_models else None
        )
        await state.registry.load_all_in_thread()
        gc.collect()
        gc.set_threshold(50_000, 20, 50)
        gc.freeze()  # what start-up made lives on; spare every later collection the walk
        if watcher is not None:
            await watch(state.registry, watcher, settings.watch_interval_s)

    loading = asyncio.create_task(load())
    loading.add_done_callback(_log_failure)
    async with state.edge.at_work():
        yield
    await state.registry.close()
    if settings.watch_models:
        loading.cancel()
    await asyncio.wait([loading])
    await state.inference.close()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.critical("loading the models failed", exc_info=error)


async def _on_sightline_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SightlineError)
    if isinstance(error, ClientGoneError):
        return Response(status_code=error.status)
    return response_of(error.problem(), error.headers)


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(
        f"{'.'.join(map(str, item['loc'][1:])) or item['loc'][0]}: {item['msg']}"
        for item in error.errors()
    )
    return response_of(ParameterError(detail).problem())


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return response_of(build_problem(error.status_code, error.detail), error.headers)


async def _on_unexpected_error(_: Request, __: Exception) -> Response:
    return response_of(SightlineError("an unexpected error; the log has the details").problem())
