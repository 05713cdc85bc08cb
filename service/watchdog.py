"""Finds runs that do not end: tells them to, and gives up the process if they do not obey."""

import asyncio
import logging
from collections.abc import Callable

from service.registry import Registry

log = logging.getLogger(__name__)

_GLANCE_S = 1.0
#: A run that was told to end has until the end of the node it is at.
_OBEDIENCE_S = 15.0


class Watchdog:
    """Looks at the age of every model's oldest run, once a second."""

    def __init__(
        self,
        registry: Registry,
        run_timeout_s: float,
        give_up: Callable[[str], None],
        *,
        obedience_s: float = _OBEDIENCE_S,
    ) -> None:
        """Nothing is watched until ``watch`` runs.

        Args:
            registry: of the models.
            run_timeout_s: seconds a run may take.
            give_up: ends the process, one of whose slots is lost; told why.
            obedience_s: seconds after that within which a run that was told to must have ended.
        """
        self._registry, self._give_up = registry, give_up
        self._run_timeout_s, self._obedience_s = run_timeout_s, obedience_s

    async def watch(self) -> None:
        """Watch until cancelled, or until nothing but a new process helps."""
        while self.look():
            await asyncio.sleep(min(_GLANCE_S, self._run_timeout_s))

    def look(self) -> bool:
        """Look once; False if the process was given up."""
        for model in self._registry.running:
            name = model.manifest.name
            oldest_s = model.upkeep.oldest_s()
            if oldest_s < self._run_timeout_s:
                continue
            if told := model.upkeep.end(self._run_timeout_s):
                log.error("%d runs of model %r took %.0f s; ending them", told, name, oldest_s)
            if oldest_s >= self._run_timeout_s + self._obedience_s:
                self._give_up(f"a run of model {name!r} does not end")
                return False
        return True
