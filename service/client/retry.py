"""How long to wait before a request is sent again."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

#: Seconds before the first repetition, where the service does not say; doubled for each further.
_FIRST_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and for how long in all, a request is repeated.

    Attributes:
        retries: times that it is sent again at most.
        total_s: seconds spent waiting in all at most; a ``Retry-After`` beyond that is an error
            at once.
    """

    retries: int = 5
    total_s: float = 60.0

    def wait_s(self, repeated: int, waited_s: float, told_s: float | None) -> float | None:
        """Seconds until the request may be sent again; None if it is not to be.

        Clients that were refused together do not come back together: up to a quarter is added at
        random.

        Args:
            repeated: times that it was sent again already.
            waited_s: seconds waited before that.
            told_s: what ``Retry-After`` says.
        """
        if repeated >= self.retries:
            return None
        least = _FIRST_S * 2**repeated if told_s is None else told_s
        if waited_s + least > self.total_s:
            return None
        return min(least * random.uniform(1, 1.25), self.total_s - waited_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` tells (RFC 9110, 10.2.3), or None without a usable one."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
