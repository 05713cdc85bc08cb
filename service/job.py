"""One picture's way through the threads: decode, prepare, queue, run, finish, and maybe draw.

The event loop hands a job over and hears of it again when its answer is there, as JSON or drawn,
either of which may take a while to write; in between the picture goes from thread to thread
directly, since every stop at the event loop would cost a wake-up of a busy thread. The answer is
finished where the CPU is: on a CPU in the slot's thread, which is one of the CPU's own; on a GPU in
a picture thread, so that the slot can feed the GPU. What is drawn is drawn in a thread for that
alone, since it may take longer than all the rest.
"""

import logging
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from service.batching import Answer, Item
from service.errors import InferenceError, SightlineError
from service.images import Limits, decode
from service.loading import Model
from service.promise import Promise
from service.rendering import Rendered, Rendering
from service.resize import Placement, needed_size
from service.session import Arrays
from service.task import Answered, ImageSeen, Inferred, ModelUsed, Params, Prepared, Timing

log = logging.getLogger(__name__)


def prepare(model: Model, image: bytes, limits: Limits, params: Params) -> Prepared:
    """Decode an encoded picture, no larger than the model needs it, and make it ready."""
    picture = decode(image, limits, partial(needed_size, geometry=model.manifest.input))
    return model.task.prepare(picture, model.manifest, params)


def finish(
    model: Model, outputs: Arrays, placement: Placement, timing: Timing, params: Params
) -> Answered:
    """Turn one picture's outputs into its answer."""
    return model.task.finish(inferred(model, outputs, placement, timing), params)


def inferred(model: Model, outputs: Arrays, placement: Placement, timing: Timing) -> Inferred:
    """One picture's outputs with what every answer holds."""
    manifest = model.manifest
    common = {
        "model": ModelUsed(name=manifest.name, version=manifest.version, precision=model.precision),
        "image": ImageSeen(width=placement.width, height=placement.height),
        "timing_ms": timing,
    }
    return Inferred(manifest, outputs, placement, common, model.assets)


@dataclass(frozen=True, slots=True)
class Threads:
    """Where jobs compute.

    Attributes:
        pictures: decode, make ready and, on a GPU, finish.
        drawing: draw answers, so that no picture waits to be decoded until another is drawn.
    """

    pictures: Executor
    drawing: Executor


class Job:
    """Answers one picture; made in a coroutine that then waits for ``promise``."""

    def __init__(
        self,
        model: Model,
        image: bytes,
        params: Params,
        deadline: float,
        limits: Limits,
        threads: Threads,
        rendering: Rendering | None = None,
    ) -> None:
        """Nothing happens until ``prepare`` is called in a picture thread."""
        self.promise: Promise[bytes | Rendered] = Promise()
        self._rendering = rendering
        self._model, self._image, self._params = model, image, params
        self._deadline, self._limits, self._threads = deadline, limits, threads
        self._item: Item | None = None
        self._arrived = time.monotonic()

    def abandon(self) -> None:
        """Leave the queue, if the job is in it; called once nobody waits, answered or not."""
        item, self._item = self._item, None  # the item leads back here: leave no cycle behind
        if item is not None:
            self._model.batcher.withdraw(item)

    def prepare(self) -> None:
        """Decode, make ready and queue; in a picture thread."""
        if self.promise.is_abandoned():
            return
        try:
            self._began = time.monotonic()
            prepared = prepare(self._model, self._image, self._limits, self._params)
            self._prepared = time.monotonic()
            if self.promise.is_abandoned():
                return
            self._item = self._model.batcher.enqueue(
                prepared.role,
                prepared.inputs,
                deadline=self._deadline,
                settle=partial(self._ran, prepared.placement),
            )
            if self.promise.is_abandoned():  # since the check above: abandon() found no item then
                self.abandon()
        except Exception as error:
            self._fail(error)

    def _ran(self, placement: Placement, answer: Answer | SightlineError) -> None:
        if isinstance(answer, SightlineError):
            self._fail(answer)
        elif self._model.device.kind == "cpu":
            self._finish(placement, answer)
        else:
            self._threads.pictures.submit(self._finish, placement, answer)

    def _finish(self, placement: Placement, answer: Answer) -> None:
        if self.promise.is_abandoned():
            return
        try:
            timing = Timing(
                decode=_ms(self._prepared - self._began),
                queue=_ms(self._began - self._arrived + answer.queue_s),
                run=_ms(answer.run_s),
                total=0.0,
            )
            given = inferred(self._model, answer.outputs, placement, timing)
            if self._rendering is None:
                answered = self._model.task.finish(given, self._params)
                self._clock(timing)
                self._settle(answered.model_dump_json().encode(), timing)
            else:
                self._threads.drawing.submit(self._render, self._rendering, given, timing)
        except Exception as error:
            self._fail(error)

    def _render(self, rendering: Rendering, given: Inferred, timing: Timing) -> None:
        if self.promise.is_abandoned() or time.monotonic() >= self._deadline:
            return
        try:
            rendered = rendering.render(self._image, self._limits, given, self._params)
            self._clock(timing)
            self._settle(rendered, timing)
        except Exception as error:
            self._fail(error)

    def _clock(self, timing: Timing) -> None:
        timing.total = _ms(time.monotonic() - self._arrived)

    def _settle(self, answer: bytes | Rendered, timing: Timing) -> None:
        self._model.meter.timing(timing)
        self.promise.settle(answer)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, SightlineError):
            log.error("a picture could not be answered", exc_info=error)
            error = InferenceError("the picture could not be processed")
        # Their frames hold the picture, and lead back here: without this a cycle would hold every
        # bad picture until the garbage collector comes by.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self.promise.settle(error)


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
