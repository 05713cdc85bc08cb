"""What runs gave for pictures that may come again, as long as there is room."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from service.session import Arrays

# Of an entry beside its key and arrays: the mapping, its names, and a place in the ordered one.
_ENTRY_BYTES = 512


class Recall:
    """The outputs used last, by any key, in so many bytes, all told; for any thread."""

    def __init__(self, max_bytes: int) -> None:
        """Nothing is known yet."""
        self.max_bytes, self.held = max_bytes, 0
        self._known: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Arrays | None:
        """What was kept under a key, if it is still there."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def put(self, key: Hashable, outputs: Arrays) -> None:
        """Keep a copy of a run's outputs, for which those used longest ago may have to go."""
        kept = {name: np.array(array) for name, array in outputs.items()}  # a view holds its batch
        with self._lock:
            if (before := self._known.pop(key, None)) is not None:
                self.held -= _bytes(key, before)
            self.held += _bytes(key, kept)
            self._known[key] = kept
            while self.held > self.max_bytes:
                self.held -= _bytes(*self._known.popitem(last=False))


def _bytes(key: Hashable, outputs: Arrays) -> int:
    """What an entry takes: a small output takes less than what there is around it."""
    parts = key if isinstance(key, tuple) else ()
    around = _ENTRY_BYTES + sys.getsizeof(key) + sum(map(sys.getsizeof, parts))
    return around + sum(map(sys.getsizeof, outputs.values()))  # with the data an array owns
