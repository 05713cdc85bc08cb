"""A problem as an HTTP answer."""

from collections.abc import Mapping

from fastapi import Response
from starlette.types import Receive, Scope, Send

from service.errors import PROBLEM_JSON, Problem, SightlineError


def response_of(found: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells a problem."""
    return Response(
        found.to_json(),
        status_code=found.status,
        headers=dict(headers or {}),
        media_type=PROBLEM_JSON,
    )


async def send_problem(error: SightlineError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error, outside of the exception handlers."""
    await response_of(error.problem(), error.headers)(scope, receive, send)
