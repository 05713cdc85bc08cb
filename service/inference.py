"""From a request to its answer: admission, the body, a job a picture, a client that may leave."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from fastapi import Request, Response

from service.delivery import PIECE, Delivery
from service.errand import Errand, Value, ms
from service.errors import (
    BusyError,
    ClientGoneError,
    InferenceError,
    NotReadyError,
    RequestError,
    SightlineError,
)
from service.forerun import Ahead, Forerun
from service.job import Job, Tell, Threads, as_json
from service.loading import Model
from service.negotiation import choose
from service.patience import finishes
from service.priority import step_back
from service.registry import Registry
from service.rendering import Rendered, Rendering
from service.request_record import current
from service.settings import Settings
from service.task import Companions, Draw, Params, Timing
from service.until_gone import UntilGone
from service.uploads import FIELD, BodyBudget, Part, Take, read_body, read_parts

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
        self,
        request: Request,
        task: str,
        params: Params,
        pictures: Mapping[str, Draw],
        *,
        in_json: bool = True,
        companions: Companions | None = None,
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
            in_json: whether an answer can be JSON, which is preferred then.
            companions: what the task does with further pictures that come along with a single one;
                without, all pictures are answered.

        Raises:
            SightlineError: of any kind, see service.errors.
        """
        accept = ",".join(request.headers.getlist("accept")) if pictures else ""
        media_type = choose(accept, ((_JSON,) if in_json else ()) + tuple(pictures))
        model = self._registry.get(task, params.model)
        params.check(model.manifest)
        if companions:
            companions.check(params, model.assets, None)
        settings = self._settings
        with self.attending(model) as take:
            parts = await read_parts(
                request,
                fields=(*companions.main, companions.field) if companions else (FIELD,),
                max_bytes=settings.max_body_bytes,
                max_files=settings.max_files,
                timeout_s=settings.body_timeout_s,
                take=take,
            )
            images, beside = _sorted(parts, companions)
            if companions:
                beside, params = companions.named(beside, params)
                companions.check(params, model.assets, len(beside))
            if len(images) > 1:
                media_type = choose(accept, (_JSON,), "the answer to several pictures")
            draw = pictures.get(media_type)
            quality = params.picture_quality()
            rendering = Rendering(draw, media_type, quality) if draw else None
            items = len(images) + len(beside)
            at_once = 1 if companions else None  # they take turns
            async with self.working(request, model, items, at_once=at_once) as deadline:
                result: bytes | Rendered
                if len(images) > 1:
                    result = await self._each(model, images, params, deadline)
                else:
                    ahead = (
                        await self.run_ahead(model, beside, companions, params, deadline)
                        if companions
                        else None
                    )
                    result = await self.infer(model, images[0], params, deadline, rendering, ahead)
            return self.respond(model, result)

    @contextmanager
    def attending(self, model: Model) -> Iterator[Take]:
        """All that is done for one request to a model, from before its body is read.

        Yields:
            Accounts for the bytes of its body, see BodyBudget.

        Raises:
            BusyError: no item more fits; said before a body is read.
            NotReadyError: the model is being recovered, or in place of a cancellation.
        """
        if record := current.get():
            record.model = model.manifest.name
        try:
            model.admission.check()
            model.upkeep.check()
            # Whatever takes the model's place meanwhile, this request is answered by it.
            with model.leases.lease(), self._bodies.body() as take:
                yield take
        except BusyError:
            model.meter.rejected.inc()
            raise
        except ClientGoneError:
            model.meter.cancelled.inc()
            raise
        except asyncio.CancelledError:  # the server is past its grace; an answer is owed still
            raise NotReadyError("the service stopped before the request was answered") from None

    @asynccontextmanager
    async def working(
        self, request: Request, model: Model, items: int, *, at_once: int | None = None
    ) -> AsyncIterator[float]:
        """The work on a request whose body has been read; it ends when the client leaves.

        Args:
            request: whose client may leave.
            model: that is to run.
            items: that it is to run.
            at_once: the most of them that are in work at one time; all of them if None.

        Yields:
            The deadline, on the clock of ``time.monotonic``.

        Raises:
            BusyError, TooLargeError: as Admission.admit.
            ClientGoneError: the client left.
        """
        deadline = time.monotonic() + self._settings.timeout_s
        with model.admission.admit(items, at_once=at_once):
            async with UntilGone(request):
                yield deadline

    async def read(self, request: Request, take: Take) -> bytes:
        """The whole body of a request, within the limits; raises as uploads.read_body."""
        return await read_body(
            request,
            max_bytes=self._settings.max_body_bytes,
            timeout_s=self._settings.body_timeout_s,
            take=take,
        )

    async def compute(self, work: Callable[[], Value]) -> Value:
        """Do what takes a while in a picture thread, of which there are as many as CPUs."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def respond(self, model: Model, result: bytes | Rendered, media_type: str = _JSON) -> Response:
        """The response that carries an answer; a large one is sent piece by piece.

        Args:
            model: that answered.
            result: the answer.
            media_type: of bytes.
        """
        sending = (self._bodies, model.meter, self._settings.body_timeout_s)
        if isinstance(result, Rendered):
            return Delivery(result.data, result.media_type, *sending, result.timing)
        if len(result) > PIECE:
            return Delivery(result, media_type, *sending)
        return Response(result, media_type=media_type)

    async def infer(
        self,
        model: Model,
        image: bytes,
        params: Params,
        deadline: float,
        rendering: Rendering | None = None,
        ahead: Ahead | None = None,
        tell: Tell = as_json,
    ) -> bytes | Rendered:
        """Answer one picture, in JSON or drawn.

        Args:
            model: to run.
            image: an encoded picture.
            params: the task's parameters.
            deadline: on the clock of ``time.monotonic``.
            rendering: how to draw the answer; not at all if None.
            ahead: what its companions' runs gave.
            tell: writes an answer that is not drawn.
        """
        threads, limits = self.threads, self._settings.limits
        return await self.run(  # no name for the job, which an exception's traceback would hold
            model,
            Job(model, image, params, deadline, limits, threads, rendering, ahead, tell),
            deadline,
        )

    @property
    def threads(self) -> Threads:
        """Where jobs compute."""
        return Threads(self._threads, self._drawing)

    async def close(self, patience_s: float | None = None) -> None:
        """Stop the threads once they are idle; wait no longer than ``patience_s`` for that."""
        for threads in (self._threads, self._drawing):
            stop = partial(threads.shutdown, wait=True, cancel_futures=True)
            await finishes(stop, "inference-close", patience_s)

    async def run_ahead(
        self,
        model: Model,
        images: Sequence[bytes],
        companions: Companions,
        params: Params,
        deadline: float,
    ) -> Ahead:
        """Run the companions of a picture, one after the other.

        Raises:
            SightlineError: one fails; it is told which one if that is the request's fault.
        """
        began, limits, ran = time.monotonic(), self._settings.limits, list[Ahead]()
        for number, image in enumerate(images, 1):
            try:
                ran.append(
                    await self.run(
                        model,
                        Forerun(model, image, companions, deadline, limits),
                        deadline,
                    )
                )
            except RequestError as error:
                which = f"picture {number} in the field {companions.field!r}"
                raise type(error)(f"{which}: {error}") from None
        inputs = companions.combine([each.inputs for each in ran], model.assets, params)
        spent = {
            stage: sum(getattr(each.timing, stage) for each in ran) for stage in Timing.model_fields
        }
        spent["total"] = ms(time.monotonic() - began)
        return Ahead(inputs, Timing(**spent))

    async def run(self, model: Model, errand: Errand[Value], deadline: float) -> Value:
        """Send a picture on its way and wait for what comes of it."""
        self._threads.submit(errand.prepare)
        with model.meter.failures():
            try:
                return await errand.promise.wait(deadline)
            finally:
                errand.abandon()
                del errand  # which an exception's traceback would lead back to: leave no cycle

    async def _each(
        self, model: Model, images: Sequence[bytes], params: Params, deadline: float
    ) -> bytes:
        """The list of all answers and problems, in JSON."""
        results = await asyncio.gather(
            *(self.infer(model, image, params, deadline) for image in images),
            return_exceptions=True,
        )
        return b"[" + b",".join(map(_told, results)) + b"]"


def _sorted(
    parts: Sequence[Part], companions: Companions | None
) -> tuple[list[bytes], list[bytes]]:
    """The pictures to be answered, and their companions.

    Raises:
        RequestError: there are companions, but of what is not one picture.
    """
    if companions is None:
        return [part.data for part in parts], []
    images = [part.data for part in parts if part.name != companions.field]
    if len(images) != 1:
        raise RequestError(
            f"the form has {len(images) or 'no'} pictures in the field {companions.main[0]!r}; "
            "send one"
        )
    return images, [part.data for part in parts if part.name == companions.field]


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
    return problem.to_json()
