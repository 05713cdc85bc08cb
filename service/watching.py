"""A models folder that is looked into again and again, so that what is put there gets loaded.

It is looked at, not subscribed to: notifications do not come from network file systems, from mounts
of Docker's virtual machines or through symbolic links that are exchanged, and a look at every few
seconds costs next to nothing (docs/decisions/0018).
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.contract import read_manifest
from service.errors import BusyError, ModelError, SightlineError
from service.registry import Registry, model_folders

log = logging.getLogger(__name__)

Look = tuple[tuple[str, int, int, int], ...]
"""Every file of a folder: where, its inode, size, and when any of these or its content changed."""


class Watcher:
    """Tells which model folders have changed and come to rest."""

    def __init__(self, root: Path) -> None:
        """What is in the folder now counts as known."""
        self._root = root
        self._seen: Mapping[str, Look] = self._look()
        self._known: dict[str, Look] = dict(self._seen)

    def settled(self) -> list[str]:
        """The names of folders that are not as they were known, but as at the last look.

        They count as known from now on, whatever comes of it. A folder that is gone is forgotten,
        and not told: what serves of it goes on.
        """
        before, self._seen = self._seen, self._look()
        self._known = {name: look for name, look in self._known.items() if name in self._seen}
        names = [
            name
            for name, look in self._seen.items()
            if look == before.get(name) != self._known.get(name)
        ]
        self._known |= {name: self._seen[name] for name in names}
        return names

    def forget(self, name: str) -> None:
        """Tell of a folder again, although it does not change."""
        self._known.pop(name, None)

    def _look(self) -> Mapping[str, Look]:
        return {folder.name: tuple(sorted(_files(folder))) for folder in model_folders(self._root)}


def _files(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(path, name)
            try:
                status = os.stat(file)
            except OSError:  # gone between the two, or a link to nowhere
                continue
            yield file, status.st_ino, status.st_size, status.st_ctime_ns


async def watch(registry: Registry, watcher: Watcher, every_s: float) -> None:
    """Load what has changed, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        try:
            changed = await asyncio.to_thread(watcher.settled)
        except OSError as error:
            log.warning("the models folder cannot be looked into: %s", error)
            continue
        for name in changed:
            if await asyncio.to_thread(_is_new, registry, name):
                log.info("model folder %s has changed; loading it", name)
                try:
                    await registry.load(name)
                except BusyError:
                    watcher.forget(name)
                except SightlineError:  # which the registry has told of
                    continue


def _is_new(registry: Registry, name: str) -> bool:
    """Whether a folder's manifest differs from that which serves; it names all files by hash."""
    served = registry.models.get(name)
    try:
        return served is None or read_manifest(registry.root / name) != served.manifest
    except ModelError:
        return True
