"""The runs of an inference request: its tensors or encoded pictures, each an item of a batch."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.batching import Answer
from service.errand import Errand, ms
from service.errors import RequestError
from service.images import Limits
from service.inference import Inference
from service.job import Threads, inferred, prepare
from service.loading import Model
from service.protocols.oip_request import ANSWER, Asked
from service.resize import Placement
from service.session import Arrays
from service.task import Params, Prepared, Timing
from service.tasks import stylize


async def run(
    inference: Inference, model: Model, asked: Asked, limits: Limits, deadline: float
) -> list[Arrays]:
    """Run all items of a request, as the batcher sees fit.

    Args:
        inference: whose threads decode pictures.
        model: that has admitted the items.
        asked: the request.
        limits: for its pictures.
        deadline: on the clock of ``time.monotonic``.

    Returns:
        Output name to array for each item, without the batch dimension; ANSWER is one of them
        where it is asked for.

    Raises:
        SightlineError: an item failed, the first of them.
    """
    if not asked.pictures:
        items = [
            {name: tensor[index, ...] for name, tensor in asked.tensors.items()}
            for index in range(asked.items)
        ]
        return await _all([_tensors(model, item, deadline) for item in items])
    beside: Arrays = {}
    if model.manifest.task == stylize.NAME:
        stylize.STYLES.check(asked.params, model.assets, 0)
        beside = stylize.STYLES.combine([], model.assets, asked.params)
    told = any(output.name == ANSWER for output in asked.outputs)
    how = _How(asked.params, limits, inference.threads, beside, told)
    return await _all(
        [
            inference.run(model, _Encoded(model, image, how, deadline), deadline)
            for image in asked.pictures
        ]
    )


async def _all(runs: Sequence[Awaitable[Arrays]]) -> list[Arrays]:
    """What all of them give, once all are done."""
    results = await asyncio.gather(*runs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            error, results = result, []  # their tracebacks lead back here: leave no cycle
            try:
                raise error
            finally:
                del error, result
    return [result for result in results if not isinstance(result, BaseException)]


async def _tensors(model: Model, inputs: Arrays, deadline: float) -> Arrays:
    began = time.monotonic()
    with model.meter.failures():
        answer = await model.batcher.submit("main", inputs, deadline=deadline)
    total = ms(time.monotonic() - began)
    model.meter.timing(
        Timing(decode=0.0, queue=ms(answer.queue_s), run=ms(answer.run_s), total=total)
    )
    return answer.outputs


@dataclass(frozen=True, slots=True)
class _How:
    """What all pictures of a request have in common.

    Attributes:
        params: of the task.
        limits: for a picture.
        threads: to compute in.
        beside: inputs of the graph that no picture gives.
        told: whether the task's own answer is asked for.
    """

    params: Params
    limits: Limits
    threads: Threads
    beside: Arrays
    told: bool


class _Encoded(Errand[Arrays]):
    """Runs one encoded picture; gives the graph's outputs and, if asked for, the task's answer."""

    def __init__(self, model: Model, image: bytes, how: _How, deadline: float) -> None:
        """Nothing happens until ``prepare`` is called in a picture thread."""
        super().__init__(model, deadline)
        self._image, self._how = image, how

    def _make_ready(self) -> Prepared:
        how = self._how
        prepared = prepare(self._model, self._image, how.limits, how.params)
        return replace(prepared, inputs={**prepared.inputs, **how.beside})

    def _ran(self, placement: Placement, answer: Answer) -> None:
        if self._how.told and self._how.params.is_long(placement):
            self._how.threads.drawing.submit(self._finish, placement, answer)
        elif self._model.device.kind == "cpu":
            self._finish(placement, answer)
        else:
            self._how.threads.pictures.submit(self._finish, placement, answer)

    def _finish(self, placement: Placement, answer: Answer) -> None:
        if self.promise.is_abandoned() or time.monotonic() >= self._deadline:
            return
        try:
            timing = self._timing(answer)
            outputs: dict[str, NDArray[Any]] = dict(answer.outputs)
            if self._how.told:
                given = inferred(self._model, answer.outputs, placement, timing)
                told = self._model.task.finish(given, self._how.params)
                timing.total = ms(time.monotonic() - self._arrived)
                outputs[ANSWER] = np.array(told.model_dump_json().encode(), np.object_)
            timing.total = ms(time.monotonic() - self._arrived)
            self._model.meter.timing(timing)
            self.promise.settle(outputs)
        except Exception as error:
            self._fail(error)


def batched(results: Sequence[Arrays], name: str) -> NDArray[Any]:
    """One output of all items, with the batch dimension in front.

    Raises:
        RequestError: their shapes differ, as those of pictures of several sizes may.
    """
    arrays = [result[name] for result in results]
    if len({array.shape for array in arrays}) > 1:
        raise RequestError(
            f"output {name!r} has another shape for each picture; send them one by one"
        )
    return np.stack(arrays)
