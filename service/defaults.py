"""Which model a task uses when a request names none."""

import logging
from collections.abc import Iterable, Mapping

from service.contract import Manifest

log = logging.getLogger(__name__)


def choose_defaults(
    manifests: Iterable[Manifest], wanted: Mapping[str, str], tasks: Iterable[str]
) -> dict[str, str]:
    """The default model of every task that has one.

    Args:
        manifests: of the models that serve.
        wanted: model by task, as the settings say; such a model is never replaced by another one.
        tasks: all there are.

    Returns:
        Task to the name of a model: the one wanted, else the first that is marked as default, else
        the first by name.
    """
    offered = sorted(manifests, key=lambda manifest: manifest.name)
    chosen = {}
    for task in tasks:
        names = [manifest.name for manifest in offered if manifest.task == task]
        marked = [
            manifest.name for manifest in offered if manifest.task == task and manifest.default
        ]
        if task in wanted:
            if wanted[task] not in names:
                log.error("default_models names %r for %s, which is not served", wanted[task], task)
            chosen[task] = wanted[task]
            continue
        if len(marked) > 1:
            log.warning("%s: several default models %s; the first is taken", task, marked)
        if names:
            chosen[task] = (marked or names)[0]
    return chosen
