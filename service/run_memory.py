"""Memory that runs of any size share: each waits for its part, in the order they ask.

Where the caller chooses the size of a graph's input, slots and batches bound the number of runs but
not what they take. What a run will take is known beforehand (``service.footprint``), so it begins
once that much is free, instead of failing half way.
"""

import math
import sys
import threading
from collections import deque

_MIB = 1 << 20


class RunMemory:
    """So many bytes for all models together; for any thread.

    Who asks first is served first, whatever it asks for: a large run is not overtaken by small ones
    for ever. Nobody waits while holding a part, and every part comes back, so all get theirs.
    """

    def __init__(self, max_bytes: int = sys.maxsize) -> None:
        """Nothing is held yet.

        Args:
            max_bytes: that all parts together may have.
        """
        self.max_bytes, self.held = max_bytes, 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many threads wait for their part."""
        return len(self._line)

    def is_enough(self, wanted: int) -> bool:
        """Whether so many bytes can be had at all."""
        return wanted <= self.max_bytes

    def leaves_room(self, wanted: int) -> bool:
        """Whether as much again could be had at the same time."""
        return 2 * wanted <= self.max_bytes

    def take(self, each: int, most: int = 1) -> int:
        """Wait until there is room for a part, and take as many as there is room for.

        Args:
            each: bytes of a part, 1 up to as many as there are.
            most: parts.

        Returns:
            How many parts are taken now, 1 to ``most``; each has to be given back.
        """
        place = object()
        with self._changed:
            self._line.append(place)
            self._changed.wait_for(
                lambda: self._line[0] is place and self.held + each <= self.max_bytes
            )
            self._line.popleft()
            count = min(most, (self.max_bytes - self.held) // each)
            self.held += each * count
            self._changed.notify_all()
        return count

    def give_back(self, count: int) -> None:
        """Return so many bytes."""
        with self._changed:
            self.held -= count
            self._changed.notify_all()


def mib(count: int) -> int:
    """Bytes in whole MiB, for messages."""
    return math.ceil(count / _MIB)
