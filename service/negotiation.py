"""Which of the media types on offer a client's ``Accept`` header asks for (RFC 9110, 12.5.1)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.errors import NotAcceptableError

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf"({_TOKEN})/({_TOKEN})")
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
# How much of a stranger's header is shown.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Range:
    """A media range, lower case, and its weight."""

    kind: str
    subtype: str
    weight: float

    def covers(self, media_type: str) -> bool:
        kind, _, subtype = media_type.partition("/")
        return self.kind in ("*", kind) and self.subtype in ("*", subtype)

    @property
    def wildcards(self) -> int:
        return (self.kind, self.subtype).count("*")


def choose(accept: str, offers: Sequence[str], what: str = "the answer") -> str:
    """The offer a client wants most; of equal ones the first.

    Of the ranges that cover an offer the most specific gives its weight. Parameters other than
    ``q`` are ignored, and so are elements that are malformed.

    Args:
        accept: the header's value; empty stands for anything.
        offers: media types in lower case, the preferred first.
        what: is on offer, for the error.

    Raises:
        NotAcceptableError: the client wants none of them.
    """
    if not accept.strip():
        return offers[0]
    ranges = sorted(_ranges(accept), key=lambda each: each.wildcards)

    def weight(offer: str) -> float:
        return next((each.weight for each in ranges if each.covers(offer)), 0.0)

    best = max(offers, key=weight)  # the first of equal ones
    if not weight(best):
        raise NotAcceptableError(
            f"{what} comes as {' or '.join(offers)}, "
            f"which 'Accept: {accept[:_SHOWN]}' does not allow"
        )
    return best


def _ranges(accept: str) -> Iterator[_Range]:
    for element in accept.split(","):
        media_range, *parameters = (part.strip() for part in element.lower().split(";"))
        found = _RANGE.fullmatch(media_range)
        weight = "1"
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                weight = value.strip()
        if found and _WEIGHT.fullmatch(weight) and (found[1] != "*" or found[2] == "*"):
            yield _Range(found[1], found[2], float(weight))
