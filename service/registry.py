"""The models on offer: what loaded, what was refused and why, and which one a request means."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from service.contract import MANIFEST_FILE
from service.errors import ModelError, NotFoundError, NotReadyError
from service.loading import Loader, Model
from service.patience import in_thread

log = logging.getLogger(__name__)


class Registry:
    """Loads the folders of a models directory and hands out models by task and name."""

    def __init__(self, loader: Loader) -> None:
        """Nothing is loaded yet."""
        self._loader = loader
        self._models: dict[str, Model] = {}
        self._defaults: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.ready = False

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that serve, by name."""
        return self._models

    def load_all(self) -> None:
        """Load every model folder; a bad one is refused and named, the others serve."""
        root = self._loader.settings.models
        for folder in model_folders(root):
            try:
                self._models[folder.name] = self._loader.load(folder)
            except ModelError as error:
                log.error("refused model %s: %s", folder.name, error)
                self.refused[folder.name] = str(error)
            except Exception:
                log.exception("refused model %s", folder.name)
                self.refused[folder.name] = "an unexpected error; the log has the details"
        if not self._models:
            log.warning("no model is served from %s", root.resolve())
        self._choose_defaults()
        self.ready = True

    def _choose_defaults(self) -> None:
        for task in self._loader.tasks:
            offered = [m.manifest for m in self._models.values() if m.manifest.task == task]
            wanted = self._loader.settings.default_models.get(task)
            if wanted is not None and wanted not in {manifest.name for manifest in offered}:
                log.error("default_models names %r for %s, which is not served", wanted, task)
            marked = [manifest.name for manifest in offered if manifest.default]
            names = [wanted] if wanted else marked or [manifest.name for manifest in offered]
            if len(marked) > 1 and not wanted:
                log.warning("%s: several default models %s; the first is taken", task, marked)
            if names:
                self._defaults[task] = names[0]

    def is_default(self, model: Model) -> bool:
        """Whether requests for its task mean this model when they name none."""
        return self._defaults.get(model.manifest.task) == model.manifest.name

    def get(self, task: str, name: str | None = None) -> Model:
        """The model a request means.

        Raises:
            NotReadyError: models are still loading, or the one that is meant was refused.
            NotFoundError: no model of this task has that name.
        """
        if not self.ready:
            raise NotReadyError("models are still loading")
        wanted = name or self._defaults.get(task)
        if wanted is None:
            raise NotReadyError(f"no model is loaded for task {task!r}")
        model = self._models.get(wanted)
        if model is not None and model.manifest.task == task:
            return model
        if wanted in self.refused:
            raise NotReadyError(f"model {wanted!r} was refused at start-up; see /readyz")
        offered = sorted(n for n, m in self._models.items() if m.manifest.task == task)
        raise NotFoundError(
            f"no model {wanted!r} for task {task!r}; there are: {', '.join(offered) or 'none'}"
        )

    def named(self, name: str) -> Model:
        """The model with this name, of whatever task.

        Raises:
            NotReadyError: models are still loading.
            NotFoundError: there is none.
        """
        if not self.ready:
            raise NotReadyError("models are still loading")
        if name not in self._models:
            raise NotFoundError(f"no model {name!r}; there are: {', '.join(self._models)}")
        return self._models[name]

    async def load_all_in_thread(self) -> None:
        """Like load_all, off the event loop, so that liveness is answered meanwhile."""
        await in_thread(self.load_all, "model-loader")

    async def close(self, patience_s: float | None = None) -> None:
        """Refuse new work, finish what is queued, stop the slots.

        Args:
            patience_s: seconds after which runs under way are told to end, and again after which
                those that do not are left to themselves; without limit if None.
        """
        self.ready = False
        await asyncio.gather(*(_close(model, patience_s) for model in self._models.values()))


async def _close(model: Model, patience_s: float | None) -> None:
    model.upkeep.close()
    if await model.batcher.close(patience_s):
        return
    model.upkeep.end()
    if not await model.batcher.close(patience_s):
        log.error("a run of model %r does not end and is left to itself", model.manifest.name)


def model_folders(root: Path) -> list[Path]:
    """The folders below ``root`` that hold a manifest, by name."""
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
