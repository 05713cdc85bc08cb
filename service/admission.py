"""Counting what has been let in and not yet answered, so that it stays bounded."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import BusyError, TooLargeError


class Admission:
    """A bounded count of items in flight, from a read body to a finished answer.

    Items are counted on the event loop only, so it needs no lock. ``parent`` counts
    for the whole service those of them that can be in work at one time, and so tells whether a
    request is alone in it.
    """

    def __init__(self, capacity: int | None = None, parent: "Admission | None" = None) -> None:
        self.capacity = capacity
        self.parent = parent
        self.count = 0
        self.seconds_per_item = 0.0

    def check(self, items: int = 1) -> None:
        """Raise BusyError unless ``items`` more fit now, TooLargeError if they never will."""
        if self.capacity is None or self.count + items <= self.capacity:
            return
        if items > self.capacity:
            raise TooLargeError(f"{items} images at once is more than the {self.capacity} that fit")
        detail = f"{self.count} items are in work and no more fit; try again later"
        raise BusyError(detail, self.retry_after_s())

    @contextmanager
    def admit(self, items: int = 1, *, at_once: int | None = None) -> Iterator[None]:
        """Hold a place for ``items`` while the block runs.

        Args:
            items: how many.
            at_once: the most of them that are in work at one time; all of them if None.

        Raises:
            BusyError: they do not fit now.
            TooLargeError: they never will.
        """
        self.check(items)
        at_once = items if at_once is None else at_once
        self._add(items, at_once)
        try:
            yield
        finally:
            self._add(-items, -at_once)

    def retry_after_s(self) -> int:
        """Whole seconds until today's items should be done, between 1 and 60."""
        return min(60, max(1, math.ceil(self.count * self.seconds_per_item)))

    def observe(self, seconds_per_item: float) -> None:
        """Learn how long an item takes when the device is busy (moving average)."""
        self.seconds_per_item += 0.1 * (seconds_per_item - self.seconds_per_item)

    def _add(self, items: int, at_once: int) -> None:
        self.count += items
        if self.parent is not None:
            self.parent._add(at_once, at_once)
