"""What is known of the request in work, for logs, problems and traces."""

import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

#: What a client may call its request; anything else would have to be escaped somewhere.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class Stages(NamedTuple):
    """When one picture was where, on the clock of ``time.monotonic`` in seconds.

    ``arrived`` to ``began`` it waited for a thread, to ``prepared`` it was decoded, and then it
    waited ``queue_s`` seconds for a run that took ``run_s``.
    """

    model: str
    arrived: float
    began: float
    prepared: float
    queue_s: float
    run_s: float


@dataclass(slots=True)
class RequestRecord:
    """One request; filled in on its way.

    Attributes:
        id: the client's own name for the request, or one made here.
        key: name of the API key it came with.
        model: name of the model it is for.
        stages: of its pictures, if ``traced``.
        traced: whether somebody wants ``stages``.
    """

    id: str
    key: str | None = None
    model: str | None = None
    stages: list[Stages] = field(default_factory=list)
    traced: bool = False


current: ContextVar[RequestRecord | None] = ContextVar("current", default=None)
"""The request in work; None outside of one. Threads see it only if they are handed it."""


def request_id(given: bytes | None) -> str:
    """The id a client gave, if it is a plain one of at most 128 characters, or else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return uuid4().hex
