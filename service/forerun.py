"""The run of a picture that comes along with another one, before that one's own run."""

import hashlib
from dataclasses import dataclass
from functools import partial

from service.batching import Answer
from service.errand import Errand
from service.images import Limits, decode
from service.loading import Model
from service.resize import Placement, needed_size
from service.session import Arrays
from service.task import Companions, Prepared, Timing


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is known before a picture's own run.

    Attributes:
        inputs: of that run, beside those that the picture itself gives.
        timing: where the time went so far.
    """

    inputs: Arrays
    timing: Timing


class Forerun(Errand[Ahead]):
    """Runs one companion; its outputs are what is waited for, whatever the parameters."""

    def __init__(
        self,
        model: Model,
        image: bytes,
        companions: Companions,
        deadline: float,
        limits: Limits,
    ) -> None:
        """Nothing happens until ``prepare`` is called in a picture thread.

        Args:
            model: to run.
            image: the encoded companion.
            companions: what the task does with it.
            deadline: on the clock of ``time.monotonic``.
            limits: it is held against.
        """
        super().__init__(model, deadline)
        self._image, self._companions = image, companions
        self._limits = limits

    def _make_ready(self) -> Prepared | None:
        self._key = hashlib.sha256(self._image).digest()
        known = self._model.recall.get(self._key)
        if known is not None:
            self.promise.settle(Ahead(known, Timing(decode=0, queue=0, run=0, total=0)))
            return None
        manifest = self._model.manifest
        needed = partial(needed_size, geometry=manifest.input)
        return self._companions.prepare(decode(self._image, self._limits, needed), manifest)

    def _ran(self, placement: Placement, answer: Answer) -> None:  # noqa: ARG002
        try:
            self._companions.verify(answer.outputs)
            self._model.recall.put(self._key, answer.outputs)
            self.promise.settle(Ahead(answer.outputs, self._timing(answer)))
        except Exception as error:
            self._fail(error)
