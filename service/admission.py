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

    Args:
        capacity: most items there may be; without a bound if None.
        parent: counts the items of all models.
        patience_s: how long the items in work may be expected to take when one more comes; one
            that would wait longer would most likely come too late, and is told at once.
        at_ease: items that are let in however long they take, since they wait for nobody.
    """

    def __init__(
        self,
        capacity: int | None = None,
        parent: "Admission | None" = None,
        *,
        patience_s: float = math.inf,
        at_ease: int = 1,
    ) -> None:
        self.capacity = capacity
        self.parent = parent
        self.patience_s, self.at_ease = patience_s, at_ease
        self.count = 0
        self.seconds_per_item = 0.0

    def check(self, items: int = 1) -> None:
        """Raise BusyError unless ``items`` more fit now, TooLargeError if they never will."""
        if self.capacity is not None and self.count + items > self.capacity:
            if items > self.capacity:
                most = self.capacity
                raise TooLargeError(f"{items} images at once is more than the {most} that fit")
            detail = f"{self.count} items are in work and no more fit; try again later"
            raise BusyError(detail, self.retry_after_s())
        wait_s = self.count * self.seconds_per_item
        if wait_s > self.patience_s and self.count >= self.at_ease:
            detail = (
                f"{self.count} items are in work and take about {wait_s:.0f} s; try again later"
            )
            raise BusyError(detail, math.ceil(min(60.0, max(1.0, wait_s - self.patience_s))))

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
