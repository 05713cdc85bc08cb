"""Answers that a client may keep, and ask about by their tag alone (RFC 9110, section 13.1.2)."""

import hashlib
import re

from fastapi import Request, Response

# What a tag is compared by, whether it is weak or not.
_TAG = re.compile(r'"[^"]*"')


def unless_known(request: Request, body: bytes, media_type: str) -> Response:
    """The answer to a GET, or 304 if ``If-None-Match`` has the tag of this very body.

    A client may keep it, but has to ask each time, as models may have been exchanged.
    """
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = ",".join(request.headers.getlist("if-none-match"))
    if known.strip() == "*" or tag in _TAG.findall(known):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
