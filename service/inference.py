"""From a request to its answer: admission, the body, a job a picture, a client that may leave."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from fastapi import Request, Response

from service.delivery import PIECE, Delivery
from service.errors import (
    BusyError,
    ClientGoneError,
    InferenceError,
    LateError,
    NotReadyError,
    SightlineError,
)
from service.job import Job, Threads
from service.loading import Model
from service.negotiation import choose
from service.priority import step_back
from service.registry import Registry
from service.rendering import Rendered, Rendering
from service.settings import Settings
from service.task import Draw, Params
from service.uploads import BodyBudget, read_images

_JSON = "application/json"


class Inference:
    """Answers requests with the models of a registry; decodes, finishes and draws in threads."""

    def __init__(self, settings: Settings, registry: Registry, cpus: int) -> None:
        """Start a thread a CPU for decoding, resizing and finishing, and half as many to draw.

        Drawing a large picture takes seconds, during which other pictures must be decoded.
        """
        self._settings, self._registry = settings, registry
        self._bodies = BodyBudget(settings.max_bodies_mib << 20)
        self._threads = ThreadPoolExecutor(cpus, "pictures", initializer=step_back)
        self._drawing = ThreadPoolExecutor(max(1, cpus // 2), "drawing", initializer=step_back)

    async def answer(
        self, request: Request, task: str, params: Params, pictures: Mapping[str, Draw]
    ) -> Response:
        """Answer the one or several pictures of a request with a task's model.

        A single picture gives its answer or raises; several give a list in order, each with its
        own answer or problem. What is more than a piece counts among the bodies until it is sent.

        Args:
            request: whose body has not been read.
            task: its name.
            params: the task's parameters.
            pictures: by media type, the preferred first, what draws a single picture's answer if
                ``Accept`` asks for that.

        Raises:
            SightlineError: of any kind, see service.errors.
        """
        accept = ",".join(request.headers.getlist("accept")) if pictures else ""
        media_type = choose(accept, (_JSON, *pictures))
        model = self._registry.get(task, params.model)
        params.check(model.manifest)
        settings = self._settings
        try:
            model.admission.check()  # a full service says so before it reads a body
            with self._bodies.body() as take:
                images = await read_images(
                    request,
                    max_bytes=settings.max_body_bytes,
                    max_files=settings.max_files,
                    timeout_s=settings.body_timeout_s,
                    take=take,
                )
                if len(images) > 1:
                    media_type = choose(accept, (_JSON,), "the answer to several pictures")
                draw = pictures.get(media_type)
                rendering = Rendering(draw, media_type) if draw else None
                deadline = time.monotonic() + settings.timeout_s
                with model.admission.admit(len(images)):
                    async with UntilGone(request):
                        result: bytes | Rendered
                        if len(images) > 1:
                            result = await self._each(model, images, params, deadline)
                        else:
                            result = await self.infer(model, images[0], params, deadline, rendering)
            sending = (self._bodies, model.meter, settings.body_timeout_s)
            if isinstance(result, Rendered):
                return Delivery(result.data, result.media_type, *sending, result.timing)
            if len(result) > PIECE:
                return Delivery(result, _JSON, *sending)
            return Response(result, media_type=_JSON)
        except BusyError:
            model.meter.rejected.inc()
            raise
        except ClientGoneError:
            model.meter.cancelled.inc()
            raise
        except asyncio.CancelledError:  # the server is past its grace; an answer is owed still
            raise NotReadyError("the service stopped before the request was answered") from None

    async def infer(
        self,
        model: Model,
        image: bytes,
        params: Params,
        deadline: float,
        rendering: Rendering | None = None,
    ) -> bytes | Rendered:
        """Answer one picture, in JSON or drawn.

        Args:
            model: to run.
            image: an encoded picture.
            params: the task's parameters.
            deadline: on the clock of ``time.monotonic``.
            rendering: how to draw the answer; not at all if None.
        """
        threads = Threads(self._threads, self._drawing)
        job = Job(model, image, params, deadline, self._settings.limits, threads, rendering)
        self._threads.submit(job.prepare)
        try:
            return await job.promise.wait(deadline)
        except LateError:
            model.meter.late.inc()
            raise
        except SightlineError:
            model.meter.failed.inc()
            raise
        finally:
            job.abandon()
            del job  # which the traceback of an exception would lead back to: leave no cycle

    async def close(self) -> None:
        """Stop the threads once they are idle."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._drawing.shutdown(wait=True, cancel_futures=True)

    async def _each(
        self, model: Model, images: Sequence[bytes], params: Params, deadline: float
    ) -> bytes:
        """The list of all answers and problems, in JSON."""
        results = await asyncio.gather(
            *(self.infer(model, image, params, deadline) for image in images),
            return_exceptions=True,
        )
        return b"[" + b",".join(map(_told, results)) + b"]"


class UntilGone:
    """Runs a block until the client closes the connection, then cancels it.

    Enter only once the body has been read: the next message can only be the disconnect.

    Raises:
        ClientGoneError: in place of the cancellation.
    """

    def __init__(self, request: Request) -> None:
        """Watch the request's connection."""
        self._request = request
        self._gone = False

    async def __aenter__(self) -> Self:
        """Start watching."""
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in a task
        self._task = task
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; turn the cancellation we caused into ClientGoneError."""
        self._watcher.cancel()
        # A cancelled task keeps its traceback, which leads back here: without this a cycle would
        # hold every request's picture until the garbage collector stops the world for it.
        del self._watcher
        if self._gone and kind is not None and issubclass(kind, asyncio.CancelledError):
            self._task.uncancel()
            raise ClientGoneError("the client closed the connection") from None

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()


def _told(result: bytes | Rendered | BaseException) -> bytes:
    """An answer in JSON as it is, an error as its problem."""
    assert not isinstance(result, Rendered)  # several pictures are not drawn
    if isinstance(result, bytes):
        return result
    if isinstance(result, SightlineError):
        problem = result.problem()
    elif isinstance(result, Exception):
        problem = InferenceError("the picture could not be processed").problem()
    else:
        raise result
    return problem.model_dump_json().encode()
