"""One picture's way to a run of a model: made ready in a thread, queued and run, or given up."""

import logging
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import Generic, TypeVar

from service.batching import Answer, Item
from service.errors import InferenceError, SightlineError
from service.loading import Model
from service.promise import Promise
from service.request_record import Stages, current
from service.resize import Placement
from service.task import Prepared, Timing

log = logging.getLogger(__name__)

Value = TypeVar("Value")


class Errand(ABC, Generic[Value]):
    """Takes one picture to a run; made in a coroutine that then waits for ``promise``."""

    def __init__(self, model: Model, deadline: float) -> None:
        """Nothing happens until ``prepare`` is called in a picture thread."""
        self.promise: Promise[Value] = Promise()
        self._model, self._deadline = model, deadline
        self._item: Item | None = None
        self._arrived = time.monotonic()
        self._record = current.get()  # the threads have no context of their own

    def abandon(self) -> None:
        """Leave the queue, if the picture is in it; called once nobody waits, answered or not."""
        item, self._item = self._item, None  # the item leads back here: leave no cycle behind
        if item is not None:
            self._model.batcher.withdraw(item)

    def prepare(self) -> None:
        """Decode, make ready and queue; in a picture thread."""
        if self.promise.is_abandoned():
            return
        try:
            self._began = time.monotonic()
            prepared = self._make_ready()
            self._prepared = time.monotonic()
            if prepared is None or self.promise.is_abandoned():
                return
            self._item = self._model.batcher.enqueue(
                prepared.role,
                prepared.inputs,
                deadline=self._deadline,
                settle=partial(self._settled, prepared.placement),
            )
            if self.promise.is_abandoned():  # since the check above: abandon() found no item then
                self.abandon()
        except Exception as error:
            self._fail(error)

    @abstractmethod
    def _make_ready(self) -> Prepared | None:
        """Decode the picture and make it ready; None if the promise is kept without a run."""

    @abstractmethod
    def _ran(self, placement: Placement, answer: Answer) -> None:
        """Go on with what the run gave, in a slot's thread."""

    def _settled(self, placement: Placement, answer: Answer | SightlineError) -> None:
        if isinstance(answer, SightlineError):
            self._fail(answer)
        else:
            self._ran(placement, answer)

    def _timing(self, answer: Answer) -> Timing:
        """Where the time went up to the end of the run; the total is not known yet."""
        if self._record is not None and self._record.traced:
            self._record.stages.append(
                Stages(
                    self._model.manifest.name,
                    self._arrived,
                    self._began,
                    self._prepared,
                    answer.queue_s,
                    answer.run_s,
                )
            )
        return Timing(
            decode=ms(self._prepared - self._began),
            queue=ms(self._began - self._arrived + answer.queue_s),
            run=ms(answer.run_s),
            total=0.0,
        )

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, SightlineError):
            request_id = self._record.id if self._record is not None else None
            log.error(
                "a picture could not be answered",
                exc_info=error,
                extra={"request_id": request_id},
            )
            error = InferenceError("the picture could not be processed")
        # Their frames hold the picture, and lead back here: without this a cycle would hold every
        # bad picture until the garbage collector comes by.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self.promise.settle(error)


def ms(seconds: float) -> float:
    """Seconds in milliseconds, to the microsecond."""
    return round(seconds * 1e3, 3)
