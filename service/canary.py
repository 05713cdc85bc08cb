"""The canary: real runs of golden inputs, which tell whether models still answer, and right.

Liveness says that the event loop turns, readiness that models are loaded. Neither notices a device
that has stopped computing, or computes something else.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from service.errors import LateError, NotFoundError, NotReadyError, SightlineError
from service.loading import Model

#: Results are told again for as long, in seconds, ...
FRESH_S = 1.0
#: ... or for as many times as long as the runs took, if all went well: canaries cost no more than a
#: tenth of what serves, however often and by however many they are asked for.
REST = 10.0


class Trial(NamedTuple):
    """What came of one model's canary.

    Attributes:
        trouble: why it failed, None if it did not.
        ms: milliseconds it took, waiting among it.
        deviation: the largest from the golden outputs.
    """

    trouble: str | None
    ms: float
    deviation: float


class Results(NamedTuple):
    """What came of all models' canaries at one time.

    Attributes:
        trials: by model.
        served: name and version of each model that was there.
        ended: when the last one came back, on the clock of ``time.monotonic``.
        until: for how long that is told again, on the same clock.
    """

    trials: Mapping[str, Trial]
    served: frozenset[tuple[str, str]]
    ended: float
    until: float


class Canary:
    """Runs the first golden input of every graph of every model, through the models' own queues.

    It stands first in the queue, so that a full one does not make it late, and holds one place of
    it; there is never more than one round at a time. Used from the event loop only.
    """

    def __init__(self, models: Callable[[], Mapping[str, Model]], timeout_s: float) -> None:
        """Nothing is run until somebody asks.

        Args:
            models: gives the models that serve, by name.
            timeout_s: seconds a model's runs may take.
        """
        self._models, self._timeout_s = models, timeout_s
        self._results: Results | None = None
        self._round: asyncio.Task[Results] | None = None

    async def results(self) -> Results:
        """The latest results, from a new round if they are no longer fresh."""
        known = self._results
        if (
            known is not None
            and time.monotonic() < known.until
            and known.served == _served(self._models())
        ):
            return known
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._run_all())
        # Whoever asked may leave; others wait for the same round.
        self._results = await asyncio.shield(self._round)
        return self._results

    async def _run_all(self) -> Results:
        began = time.monotonic()
        served = _served(self._models())
        ran: dict[str, Trial | None] = {}
        # One after the other: a canary is to find a broken model, not to load the machine. Each is
        # looked up when its turn comes, so that what was unloaded meanwhile is not held on to.
        for name in list(self._models()):
            if name in self._models():
                ran[name] = await self._run(self._models()[name])
        trials = {name: trial for name, trial in ran.items() if trial is not None}
        ended = time.monotonic()
        # What is broken is tried again soon, so that its recovery is seen.
        rest = 1.0 if any(trial.trouble for trial in trials.values()) else REST
        until = ended + max(FRESH_S, rest * (ended - began))
        return Results(trials, served, ended, until)

    async def _run(self, model: Model) -> Trial | None:
        """What comes of one model; None if it is unloaded meanwhile."""
        began = time.monotonic()
        deadline = began + self._timeout_s
        trouble, worst = None, 0.0
        for role, golden in model.canaries.items():
            try:
                with model.leases.lease():
                    answer = await model.batcher.submit(
                        role, golden.inputs, deadline=deadline, first=True
                    )
            except NotReadyError:
                return None
            except LateError:
                trouble = f"no answer within {self._timeout_s:g} s"
            except SightlineError as error:
                trouble = str(error)
            else:
                worst = max(worst, model.task.deviation(answer.outputs, golden.outputs))
                # Written so that a NaN fails.
                if not worst <= golden.tolerance:
                    trouble = f"golden outputs differ by {worst:.3g}"
            if trouble:
                break
        return Trial(trouble, round((time.monotonic() - began) * 1e3, 3), worst)


def _served(models: Mapping[str, Model]) -> frozenset[tuple[str, str]]:
    return frozenset((name, model.manifest.version) for name, model in models.items())


def told(results: Results, model: str | None) -> Mapping[str, Trial]:
    """The trials of one model, or of all.

    Raises:
        NotReadyError: one of them failed, or there is no model at all.
        NotFoundError: no model has that name.
    """
    trials = results.trials
    if model is not None:
        if model not in trials:
            raise NotFoundError(f"no model {model!r}; there are: {', '.join(trials) or 'none'}")
        trials = {model: trials[model]}
    if not trials:
        raise NotReadyError("no model is served, so none can answer")
    failed = {name: trial.trouble for name, trial in trials.items() if trial.trouble}
    if failed:
        raise NotReadyError(
            "the canary failed: " + "; ".join(f"{name}: {why}" for name, why in failed.items())
        )
    return trials
