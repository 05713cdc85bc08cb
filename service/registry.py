"""The models on offer: what loaded, what was refused and why, and which one a request means.

What is on offer changes on the event loop only, in one step, after everything that can fail has
been done in the loader's thread. So whoever looks between two awaits sees one state, and a request
goes on with the model it began with, which is put away once no request uses it.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from service.contract import MANIFEST_FILE, NAME_PATTERN
from service.defaults import choose_defaults
from service.errors import (
    BusyError,
    GraphError,
    ModelError,
    NotFoundError,
    NotReadyError,
    OutOfMemoryError,
    SightlineError,
)
from service.group import Change
from service.loading import Loader, Model
from service.memory import give_back
from service.patience import in_thread
from service.presets import read_presets
from service.priority import step_back
from service.vocabulary import read_vocabulary

log = logging.getLogger(__name__)

_MAX_WAITING = 64

Value = TypeVar("Value")


class _CrowdedError(GraphError):
    """There was too little memory for a model's first runs."""


class Registry:
    """Loads the folders of a models directory and hands out models by task and name."""

    def __init__(self, loader: Loader) -> None:
        """Nothing is loaded yet."""
        self._loader = loader
        self._models: dict[str, Model] = {}
        self._defaults: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.ready = False
        self._closing = False
        # One thread at a time, so that models load one after the other beside the runs that serve.
        self._thread = asyncio.Lock()
        self._starting: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._waiting: dict[str, asyncio.Task[Model]] = {}
        self._changes: set[asyncio.Task[Any]] = set()
        self._draining: list[Model] = []

    @property
    def root(self) -> Path:
        """The models directory."""
        return self._loader.settings.models

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that serve, by name; a change makes a new mapping."""
        return self._models

    @property
    def running(self) -> list[Model]:
        """The models that serve, and those that only finish what they were asked."""
        return [*self._models.values(), *self._draining]

    def load_all(self, without: Collection[str] = ()) -> None:
        """Load every model folder, several at once; a bad one is refused, the others serve.

        Args:
            without: names of models that are not to be loaded.
        """
        folders = [folder for folder in model_folders(self.root) if folder.name not in without]
        folders.sort(key=_size, reverse=True)  # a long one that begins last would end alone
        again: list[str] = []
        with ThreadPoolExecutor(self._loader.at_once, "model-loader") as pool:
            loads = {pool.submit(self._attempt, folder.name): folder.name for folder in folders}
            for load in as_completed(loads):
                name, outcome = loads[load], load.result()
                if isinstance(outcome, _CrowdedError) and self._loader.at_once > 1:
                    again.append(name)  # alone there may be memory enough
                elif outcome is not None:
                    self._take(name, outcome)
        for name in again:
            if (outcome := self._attempt(name)) is not None:
                self._take(name, outcome)
        give_back()  # what the variants that were not chosen held
        if not self._models:
            log.warning("no model is served from %s", self.root.resolve())
        self._choose_defaults()
        self.ready = not self._closing

    def is_default(self, model: Model) -> bool:
        """Whether requests for its task mean this model when they name none."""
        return self._defaults.get(model.manifest.task) == model.manifest.name

    def get(self, task: str, name: str | None = None) -> Model:
        """The model a request means; to run it, take one of its leases.

        Raises:
            NotReadyError: models are still loading, or the one that is meant was refused.
            NotFoundError: no model of this task has that name.
        """
        self._require_ready()
        wanted = name or self._defaults.get(task)
        if wanted is None:
            raise NotReadyError(f"no model is loaded for task {task!r}")
        model = self._models.get(wanted)
        if model is not None and model.manifest.task == task:
            return model
        if model is None and wanted in self.refused:
            raise NotReadyError(f"model {wanted!r} was refused; see /readyz")
        offered = sorted(n for n, m in self._models.items() if m.manifest.task == task)
        raise NotFoundError(
            f"no model {wanted!r} for task {task!r}; there are: {', '.join(offered) or 'none'}"
        )

    def named(self, name: str) -> Model:
        """The model with this name, of whatever task; to run it, take one of its leases.

        Raises:
            NotReadyError: models are still loading.
            NotFoundError: there is none.
        """
        self._require_ready()
        if name not in self._models:
            raise NotFoundError(f"no model {name!r}; there are: {', '.join(self._models)}")
        return self._models[name]

    async def load_all_in_thread(self, without: Collection[str] = ()) -> None:
        """Like load_all, off the event loop, so that liveness is answered meanwhile."""
        # Nothing serves yet to step back for.
        load = partial(self.load_all, without)
        self._starting = asyncio.ensure_future(in_thread(load, "model-loader"))
        await self._starting

    async def apply(self, change: Change) -> None:
        """Load or unload a model; raises what these do."""
        await (self.load if change.verb == "load" else self.unload)(change.name)

    async def load(self, name: str) -> Model:
        """Load what is in a model's folder now, and let it take the place of what served.

        What served before goes on until the new one is warm, and until the requests that use it are
        answered. Models load one after the other; who asks for one that waits for its turn already
        waits for the same load. Whoever asked may leave: what was asked for is done.

        Raises:
            BusyError: too many loads wait.
            NotReadyError: models are still loading at start-up, or the service is stopping.
            NotFoundError: there is no such folder, or no manifest in it.
            ModelError: it cannot be served; what served before goes on.
            SightlineError: loading failed in a way nobody thought of.
        """
        self._require_ready()
        if name not in self._waiting:
            if len(self._waiting) >= _MAX_WAITING:
                raise BusyError(f"{_MAX_WAITING} models wait to be loaded; try again later")
            self._waiting[name] = self._begin(self._replace(name))
        return await asyncio.shield(self._waiting[name])

    async def unload(self, name: str) -> None:
        """Take a model out of service, and give back its memory once its requests are answered.

        Raises:
            NotReadyError: models are still loading at start-up, or the service is stopping.
            NotFoundError: there is none.
        """
        self._require_ready()
        await asyncio.shield(self._begin(self._remove(name)))

    async def close(self, patience_s: float | None = None) -> None:
        """Refuse new work, finish what is queued and a load under way, stop the slots.

        Args:
            patience_s: seconds after which runs under way are told to end, and again after which
                those that do not, and loads, are left to themselves; without limit if None.
        """
        if self._closing:
            return
        self.ready, self._closing = False, True
        for model in self._draining:
            model.leases.revoke()
        starting = [] if self._starting is None else [self._starting]
        if starting:  # it ends with the folder it is at
            await asyncio.wait(starting, timeout=patience_s)
        self.ready = False
        await asyncio.gather(*(_close(model, patience_s) for model in self.running))
        if self._changes:
            await asyncio.wait(self._changes, timeout=patience_s)

    def _require_ready(self) -> None:
        if not self.ready:
            raise NotReadyError("models are still loading, or the service is stopping")

    def _attempt(self, name: str) -> Model | SightlineError | None:
        """Load one folder, in a loader's thread; None if the service is stopping.

        An error is given back, not raised: the frames it came through hold the graphs.
        """
        if self._closing:
            return None
        try:
            with self._loader.telemetry.load_s.labels(name).time():
                return self._loader.load(self.root / name)
        except ModelError as error:
            is_short = isinstance(error.__cause__, OutOfMemoryError)
            return _CrowdedError(str(error)) if is_short else type(error)(str(error))
        except Exception:
            log.exception("loading model %s failed", name)
            return SightlineError("an unexpected error; the log has the details")

    def _take(self, name: str, outcome: Model | SightlineError) -> None:
        """Let a model that was loaded serve, or note why it does not."""
        is_loaded = isinstance(outcome, Model)
        self._loader.telemetry.loads.labels(name, "loaded" if is_loaded else "refused").inc()
        if isinstance(outcome, Model):
            self._offer(outcome)
        else:
            self._refuse(name, outcome)

    def _load_while_serving(self, name: str) -> Model | SightlineError:
        """Load one folder, in a loader's thread, and leave behind no more than it needs.

        Returns:
            As _attempt does, NotFoundError where there is no such folder, NotReadyError if the
            service is stopping.
        """
        folder = self.root / name
        if not re.fullmatch(NAME_PATTERN, name) or not (folder / MANIFEST_FILE).is_file():
            return NotFoundError(f"there is no model folder {name!r} with a manifest")
        outcome = self._attempt(name)
        give_back()
        return outcome or NotReadyError("the service is stopping")

    def _offer(self, model: Model) -> None:
        """Let a model serve in place of the one that has its name."""
        name, task = model.manifest.name, model.manifest.task
        telemetry = self._loader.telemetry
        before = self._models.get(name)
        if before is not None and before.manifest.task != task:
            telemetry.version.labels(before.manifest.task, name).set(0)
        self._models = dict(sorted({**self._models, name: model}.items()))
        self.refused = {n: reason for n, reason in self.refused.items() if n != name}
        telemetry.version.labels(task, name).set(int(model.manifest.version))
        telemetry.refused.labels(name).set(0)

    def _refuse(self, name: str, error: SightlineError) -> None:
        log.error("refused model %s: %s", name, error)
        self.refused = {**self.refused, name: str(error)}
        self._loader.telemetry.refused.labels(name).set(1)

    def _choose_defaults(self) -> None:
        settings, tasks = self._loader.settings, self._loader.tasks
        manifests = [model.manifest for model in self._models.values()]
        self._defaults = choose_defaults(manifests, settings.default_models, tasks)

    async def _replace(self, name: str) -> Model:
        async with self._turn:
            del self._waiting[name]  # who asks from now on means what is there from now on
            self._require_ready()
            model = await self._in_thread(lambda: self._load_while_serving(name))
            if isinstance(model, (NotFoundError, NotReadyError)):
                raise model
            if isinstance(model, Model) and self._closing:
                await _close(model)
                raise NotReadyError("the service is stopping")
            before = [self._models[name]] if name in self._models else []
            self._take(name, model)
            if isinstance(model, SightlineError):
                raise model
            self._choose_defaults()
        self._retire(before)
        return model

    async def _remove(self, name: str) -> None:
        async with self._turn:
            self._require_ready()
            if name not in self._models and name not in self.refused:
                raise NotFoundError(f"no model {name!r}; there are: {', '.join(self._models)}")
            going = self._withdraw(name)
            self._choose_defaults()
        await self._retire(going)

    def _withdraw(self, name: str) -> list[Model]:
        """Let nothing serve under a name; what did, if anything."""
        going = [model for n, model in self._models.items() if n == name]
        self._models = {n: model for n, model in self._models.items() if n != name}
        self.refused = {n: reason for n, reason in self.refused.items() if n != name}
        self._loader.telemetry.refused.labels(name).set(0)
        for model in going:
            self._loader.telemetry.version.labels(model.manifest.task, name).set(0)
        log.info("unloaded %s", name)
        return going

    def _retire(self, going: list[Model]) -> asyncio.Task[None]:
        """Put models away that no new request gets, once those they have are answered."""
        self._draining.extend(going)
        self._loader.telemetry.draining.inc(len(going))
        return self._begin(self._drain(going))

    async def _drain(self, going: list[Model]) -> None:
        """See _retire; empties the list, which is the last to hold them."""
        telemetry = self._loader.telemetry
        for model in going:
            await model.leases.returned()
            await _close(model)
            telemetry.unwatch(model.manifest.task, model.manifest.name, model.batcher)
            self._draining.remove(model)
            telemetry.draining.dec()
            del model
        if not self._closing:
            await self._in_thread(lambda: _forget(going))

    async def _in_thread(self, work: Callable[[], Value]) -> Value:
        def stepped_back() -> Value:
            step_back()
            return work()

        async with self._thread:
            return await in_thread(stepped_back, "model-loader")

    def _begin(self, change: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        """Start a change that goes on although who asked for it leaves."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._changes.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, SightlineError):
            log.critical("changing what is served failed", exc_info=error)


async def _close(model: Model, patience_s: float | None = None) -> None:
    """Finish what is queued and stop the slots; see Registry.close."""
    model.upkeep.close()
    if await model.batcher.close(patience_s):
        return
    model.upkeep.end()
    if not await model.batcher.close(patience_s):
        log.error("a run of model %r does not end and is left to itself", model.manifest.name)


def _forget(models: list[Model]) -> None:
    """Let go of models, and of what was made of their files, where that stops no request."""
    models.clear()
    for read in (read_presets, read_vocabulary):
        read.cache_clear()
    give_back()


def _size(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def model_folders(root: Path) -> list[Path]:
    """The folders below ``root`` that hold a manifest, by name; not hidden ones.

    What is being copied or made can wait in a folder whose name begins with a dot.
    """
    found = (path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
    return sorted(folder for folder in found if not folder.name.startswith("."))
