"""One picture's way through the threads: decode, prepare, queue, run, finish, and maybe draw.

The event loop hands a job over and hears of it again when its answer is there, as JSON or drawn,
either of which may take a while to write; in between the picture goes from thread to thread
directly, since every stop at the event loop would cost a wake-up of a busy thread. The answer is
finished where the CPU is: on a CPU in the slot's thread, which is one of the CPU's own; on a GPU in
a picture thread, so that the slot can feed the GPU. What is drawn is drawn in a thread for that
alone, since it may take longer than all the rest; so is any answer that takes long to finish.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

from service.batching import Answer
from service.errand import Errand, ms
from service.forerun import Ahead
from service.images import Limits, decode
from service.loading import Model
from service.rendering import Rendered, Rendering
from service.resize import Placement, needed_size
from service.session import Arrays
from service.task import Answered, ImageSeen, Inferred, ModelUsed, Params, Prepared, Timing


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


Tell = Callable[[Answered], bytes]
"""Writes an answer to one picture; in a thread, since that may take a while."""


def as_json(answered: Answered) -> bytes:
    """An answer in our own JSON."""
    return answered.model_dump_json().encode()


@dataclass(frozen=True, slots=True)
class Threads:
    """Where jobs compute.

    Attributes:
        pictures: decode, make ready and, on a GPU, finish.
        drawing: draw answers, and finish those that take long, so that no picture waits to be
            decoded or run meanwhile.
    """

    pictures: Executor
    drawing: Executor


class Job(Errand[bytes | Rendered]):
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
        ahead: Ahead | None = None,
        tell: Tell = as_json,
    ) -> None:
        """Nothing happens until ``prepare`` is called in a picture thread."""
        super().__init__(model, deadline)
        self._image, self._params = image, params
        self._limits, self._threads = limits, threads
        self._rendering, self._ahead, self._tell = rendering, ahead, tell

    def _make_ready(self) -> Prepared:
        prepared = prepare(self._model, self._image, self._limits, self._params)
        if self._ahead is None:
            return prepared
        return replace(prepared, inputs={**prepared.inputs, **self._ahead.inputs})

    def _ran(self, placement: Placement, answer: Answer) -> None:
        if self._rendering is None and self._params.is_long(placement):
            self._threads.drawing.submit(self._finish, placement, answer)
        elif self._model.device.kind == "cpu":
            self._finish(placement, answer)
        else:
            self._threads.pictures.submit(self._finish, placement, answer)

    def _finish(self, placement: Placement, answer: Answer) -> None:
        if self.promise.is_abandoned() or time.monotonic() >= self._deadline:
            return
        try:
            timing = self._timing(answer)
            given = inferred(self._model, answer.outputs, placement, timing)
            if self._rendering is None:
                answered = self._model.task.finish(given, self._params)
                self._clock(timing)
                self._settle(self._tell(answered), timing)
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
        timing.total = ms(time.monotonic() - self._arrived)
        if self._ahead is not None:
            for stage, spent in self._ahead.timing:
                setattr(timing, stage, round(getattr(timing, stage) + spent, 3))

    def _settle(self, answer: bytes | Rendered, timing: Timing) -> None:
        self._model.meter.timing(timing)
        self.promise.settle(answer)
