"""Who is using a thing, so that it is put away only once nobody is."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Leases:
    """Counts the users of one thing; on the event loop only, so it needs no lock."""

    def __init__(self) -> None:
        """Nobody uses it yet."""
        self.count = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Use it while the block runs."""
        self.count += 1
        self._unused.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._unused.set()

    async def returned(self) -> None:
        """Wait until nobody uses it."""
        await self._unused.wait()

    def revoke(self) -> None:
        """Let nobody wait any longer: the service stops."""
        self._unused.set()
