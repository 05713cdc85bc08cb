"""Rate limits: a token bucket for each key or client address.

Headers as in the IETF's draft "RateLimit header fields for HTTP"
(draft-ietf-httpapi-ratelimit-headers).
"""

import ipaddress
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, PlainSerializer

from service.errors import RateLimitedError

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h)")
_WINDOW_S = {"s": 1, "m": 60, "h": 3600}
#: Buckets kept; past it the one unused for longest is forgotten, so that nobody can fill memory by
#: coming from ever new addresses.
_MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests in a window of seconds: as many at once, refilled evenly over the window."""

    requests: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<requests>/<s|m|h>``.

        Raises:
            ValueError: it is something else.
        """
        found = _RATE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:32]!r} is no rate; write 10/s, 600/m or 5000/h")
        return cls(int(found[1]), _WINDOW_S[found[2]])

    def __str__(self) -> str:
        unit = next(unit for unit, seconds in _WINDOW_S.items() if seconds == self.window_s)
        return f"{self.requests}/{unit}"


def _parse(value: Any) -> Any:
    return Rate.parse(value) if isinstance(value, str) else value


RateText = Annotated[Rate, BeforeValidator(_parse), PlainSerializer(str, return_type=str)]
"""A Rate that is written as text, ``600/m``."""


@dataclass(slots=True)
class _Bucket:
    rate: Rate
    tokens: float
    filled: float


class RateLimiter:
    """The buckets of all clients. Used from the event loop only, so it needs no lock."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Nobody has sent anything yet."""
        self._now = now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, client: str, rate: Rate) -> list[tuple[bytes, bytes]]:
        """Take one request out of a client's bucket.

        Returns:
            The headers that tell the client what is left.

        Raises:
            RateLimitedError: nothing is left.
        """
        now = self._now()
        bucket = self._buckets.get(client)
        if bucket is None or bucket.rate != rate:  # a new limit begins with a full bucket
            bucket = self._buckets[client] = _Bucket(rate, rate.requests, now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(client)
        per_s = rate.requests / rate.window_s
        bucket.tokens = min(rate.requests, bucket.tokens + (now - bucket.filled) * per_s)
        bucket.filled = now
        if bucket.tokens < 1:
            wait_s = max(1, math.ceil((1 - bucket.tokens) / per_s))
            raise RateLimitedError(
                f"more than {rate.requests} requests in {rate.window_s} s; come back later",
                wait_s,
                headers_of(rate, bucket.tokens),
            )
        bucket.tokens -= 1
        told = headers_of(rate, bucket.tokens)
        return [(name.lower().encode(), value.encode()) for name, value in told.items()]


def headers_of(rate: Rate, tokens: float) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit``: the quota, what is left, seconds until it is full."""
    full_s = math.ceil((rate.requests - tokens) * rate.window_s / rate.requests)
    return {
        "RateLimit-Policy": f'"requests";q={rate.requests};w={rate.window_s}',
        "RateLimit": f'"requests";r={int(tokens)};t={full_s}',
    }


@lru_cache(maxsize=4096)
def client_of(host: str) -> str:
    """What a client's limit goes by: an IPv4 address, or the /64 network of an IPv6 address.

    A household or a machine has a whole /64 of addresses to come from.
    """
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
