"""A problem as an HTTP answer."""

from collections.abc import Mapping

from fastapi import Response
from starlette.types import Receive, Scope, Send

from service.errors import PROBLEM_JSON, Problem, SightlineError

#: Below these, clients made for other services ask; see service.protocols.
_OTHER_CLIENTS = ("/v2/", "/hf/", "/v1/")


def response_of(found: Problem, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells a problem to whoever asked for a path."""
    told = found.for_other_clients() if f"{path}/".startswith(_OTHER_CLIENTS) else found
    return Response(
        told.to_json(),
        status_code=found.status,
        headers=dict(headers or {}),
        media_type=PROBLEM_JSON,
    )


async def send_problem(error: SightlineError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error, outside of the exception handlers."""
    await response_of(error.problem(), scope["path"], error.headers)(scope, receive, send)
